// An OpenID provider for tests: `node op.mjs CONFIGURATION.json`, see ../openid_provider.py.
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';

import { Provider, errors } from 'oidc-provider';

const configured = JSON.parse(readFileSync(process.argv[2], 'utf-8'));
const issuer = `http://localhost:${configured.port}`;
const state = {
  accounts: configured.accounts,
  accessTokenSeconds: configured.access_token_seconds,
  seen: [], // the requests for tokens
  trouble: null, // {status, seconds, times}: answers of the token endpoint
};

const page = (title, content) =>
  `<!DOCTYPE html><html lang="en"><title>${title}</title><h1>${title}</h1>${content}</html>`;
const withButtons = (form, buttons) => form.replace('</form>', `${buttons}</form>`);
const CONTINUE = '<button type="submit">Continue</button>';
const CANCEL = '<button type="submit" name="abort" value="yes">Cancel</button>';
const form = (fields, buttons) => `<form method="post">${fields}${buttons}</form>`;
const LOGIN = form(
  '<label>Login <input type="text" name="login" autofocus></label>' +
    '<label>Password <input type="password" name="password"></label>',
  CONTINUE + CANCEL,
);

function findAccount(_, login) {
  // An account is looked up again for each request: it may be changed or removed in between.
  if (!Object.hasOwn(state.accounts, login)) return undefined;
  return { accountId: login, claims: () => ({ sub: login, ...state.accounts[login] }) };
}

const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
const provider = new Provider(issuer, {
  clients: configured.clients,
  jwks: { keys: [{ ...privateKey.export({ format: 'jwk' }), use: 'sig', alg: 'RS256' }] },
  cookies: { keys: [randomBytes(16).toString('hex')] },
  findAccount,
  scopes: ['openid', 'offline_access'],
  claims: {
    openid: ['sub'],
    email: ['email', 'email_verified'],
    profile: ['name', 'preferred_username', 'groups'],
    groups: ['groups'],
  },
  conformIdTokenClaims: false, // the ID token has the claims of all scopes
  pkce: { required: () => true },
  rotateRefreshToken: true,
  issueRefreshToken: (_, client, source) =>
    client.grantTypeAllowed('refresh_token') &&
    (configured.always_refreshable || source.scopes.has('offline_access')),
  ttl: {
    AccessToken: () => state.accessTokenSeconds,
    AuthorizationCode: 60,
    DeviceCode: 600,
    Grant: 86_400,
    IdToken: 3600,
    Interaction: 600,
    RefreshToken: 86_400,
    Session: 86_400,
  },
  interactions: { url: (_, interaction) => `/interaction/${interaction.uid}` },
  features: {
    devInteractions: { enabled: false },
    backchannelLogout: { enabled: true },
    rpInitiatedLogout: {
      enabled: true,
      logoutSource(ctx, html) {
        const button = '<button type="submit" name="logout" value="yes">Sign out</button>';
        ctx.body = page('Sign out', withButtons(html, button));
      },
      postLogoutSuccessSource(ctx) {
        ctx.body = page('Signed out', '');
      },
    },
    deviceFlow: {
      enabled: true,
      userCodeInputSource(ctx, html, _, error) {
        ctx.body = page(error ? 'Another code' : 'Code', withButtons(html, CONTINUE));
      },
      userCodeConfirmSource(ctx, html) {
        ctx.body = page('Is it your device?', withButtons(html, CONTINUE + CANCEL));
      },
      successSource(ctx) {
        ctx.body = page('The device is signed in', '');
      },
    },
  },
  renderError(ctx, out) {
    ctx.type = 'text';
    ctx.body = JSON.stringify(out);
  },
  // The default refuses addresses of this machine, to which logout tokens are sent.
  fetch: (url, options) => globalThis.fetch(url, { ...options, dispatcher: undefined }),
});

provider.use(async (ctx, next) => {
  await next();
  if (ctx.path === '/token') {
    state.seen.push({ grant_type: ctx.oidc?.params?.grant_type ?? '', status: ctx.status });
  }
});
for (const event of ['server_error', 'backchannel.error']) {
  provider.on(event, (_, error) => console.error(event, error));
}

async function body(request) {
  const parts = [];
  for await (const part of request) parts.push(part);
  return Buffer.concat(parts).toString();
}

function send(response, status, type, content) {
  response.writeHead(status, { 'Content-Type': type, 'Cache-Control': 'no-store' });
  response.end(content);
}

// The pages for the login and the consent.
async function interact(request, response) {
  const { prompt, params, session, grantId } = await provider.interactionDetails(request, response);
  const consenting = prompt.name === 'consent';
  if (request.method !== 'POST') {
    const content = consenting ? form('', CONTINUE + CANCEL) : LOGIN;
    return send(response, 200, 'text/html', page(consenting ? 'Consent' : 'Sign in', content));
  }
  const sent = new URLSearchParams(await body(request));
  const finish = (result) =>
    provider.interactionFinished(request, response, result, {
      mergeWithLastSubmission: consenting,
    });
  if (sent.has('abort')) {
    return finish({ error: 'access_denied', error_description: 'the user pressed Cancel' });
  }
  if (!consenting) {
    const login = sent.get('login') ?? '';
    if (!findAccount(null, login) || !sent.get('password')) {
      return send(response, 403, 'text/html', page('Sign in', `<p>wrong login</p>${LOGIN}`));
    }
    return finish({ login: { accountId: login } });
  }
  const grant = grantId
    ? await provider.Grant.find(grantId)
    : new provider.Grant({ accountId: session.accountId, clientId: params.client_id });
  grant.addOIDCScope((prompt.details.missingOIDCScope ?? []).join(' '));
  grant.addOIDCClaims(prompt.details.missingOIDCClaims ?? []);
  return finish({ consent: { grantId: await grant.save() } });
}

// What a test can read and change: GET for the state, POST for a part of it.
async function control(request, response) {
  if (request.method === 'POST') Object.assign(state, JSON.parse(await body(request)));
  send(response, 200, 'application/json', JSON.stringify(state));
}

async function troubled(request, response) {
  const { status, seconds } = state.trouble;
  state.trouble.times -= 1;
  if (state.trouble.times <= 0) state.trouble = null;
  const sent = new URLSearchParams(await body(request));
  state.seen.push({ grant_type: sent.get('grant_type') ?? '', status });
  const answer = () => send(response, status, 'application/json', '{"error":"server_error"}');
  setTimeout(answer, seconds * 1000).unref();
}

const standard = provider.callback();
createServer(async (request, response) => {
  const { pathname } = new URL(request.url, issuer);
  try {
    if (pathname === '/_test') await control(request, response);
    else if (pathname.startsWith('/interaction/')) await interact(request, response);
    else if (pathname === '/token' && state.trouble) await troubled(request, response);
    else await standard(request, response);
  } catch (error) {
    const status = error instanceof errors.OIDCProviderError ? error.statusCode : 500;
    if (status === 500) console.error(error);
    send(response, status, 'text/plain', String(error));
  }
}).listen(configured.port, '127.0.0.1');
