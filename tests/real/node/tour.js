// Users, privileges and databases through node-influx; prints one JSON object with what it saw.
// Usage: node tour.js PORT

const { InfluxDB } = require("influx");

const port = Number(process.argv[2]);
const as = (username, password) =>
  new InfluxDB({ host: "127.0.0.1", port, username, password, database: "telegraf" });

async function refused(promise) {
  try {
    await promise;
  } catch (error) {
    return error.message;
  }
  return "";
}

async function main() {
  const root = as("root", "Toor-1");
  const seen = {};
  seen.ping = (await root.ping(5000)).map((host) => [host.online, host.version]);
  await root.createDatabase("telegraf");
  await root.createDatabase("o'dd \"name\"");
  seen.databases = await root.getDatabaseNames();
  await root.createUser("todd", "it's s3cret");
  await root.createUser("boss", "b0ss-pw", true);
  await root.grantPrivilege("todd", "READ", "telegraf");
  seen.granted = await as("todd", "it's s3cret").getDatabaseNames();
  await root.revokePrivilege("todd", "READ", "telegraf");
  seen.revoked = await as("todd", "it's s3cret").getDatabaseNames();
  await root.grantPrivilege("todd", "ALL", "telegraf");
  await root.grantAdminPrivilege("todd");
  seen.promoted = await root.getUsers();
  await root.revokeAdminPrivilege("todd");
  await root.setPassword("todd", "new-pw-1");
  seen.old = await refused(as("todd", "it's s3cret").getDatabaseNames());
  seen.new = await as("todd", "new-pw-1").getDatabaseNames();
  seen.forbidden = await refused(as("todd", "new-pw-1").getUsers());
  seen.nobody = await refused(root.dropUser("nobody"));
  await root.dropUser("todd");
  await root.dropDatabase("telegraf");
  seen.users = await root.getUsers();
  seen.left = await root.getDatabaseNames();
  console.log(JSON.stringify(seen));
}

main().catch((error) => {
  console.error(error.message);
  process.exit(1);
});
