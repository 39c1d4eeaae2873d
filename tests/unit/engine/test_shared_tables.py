"""The tables in memory of a shared store: what readers find while another thread changes them."""

from dataclasses import dataclass

from headgate_engine.stores.shared.tables import Table


@dataclass(frozen=True)
class Record:
    number: int
    id: str
    groups: tuple[str, ...] = ()


def test_a_record_that_is_replaced_is_found_at_each_moment() -> None:
    missing: list[str] = []
    is_filled = False

    def look(record: Record) -> None:
        """Reads as another thread would, which may run in the middle of each change."""
        if not is_filled:
            return
        found = {
            "key": table.get("a"),
            "id": table.first("id", "1"),
            "group": next(iter(table.find("groups", "g")), None),
            "order": next(table.after(0), None),
        }
        missing.extend(name for name, one in found.items() if one is None)
        if table.count("groups", "g") != 1:
            missing.append("count")

    def ids(record: Record) -> tuple[str, ...]:
        look(record)
        return (record.id,)

    def groups(record: Record) -> tuple[str, ...]:
        look(record)
        return record.groups

    table: Table[Record] = Table(
        lambda it: it.number, unique={"id": ids}, groups={"groups": groups}
    )
    table.put("a", Record(1, "1", ("g",)))
    is_filled = True
    for change in (Record(1, "1", ("g", "h")), Record(1, "1", ("g",)), Record(1, "1", ("h", "g"))):
        table.put("a", change)
        assert table.first("id", "1") is change
    assert missing == []


def test_values_that_a_record_no_longer_has_do_not_find_it() -> None:
    table: Table[Record] = Table(
        lambda it: it.number, unique={"id": lambda it: (it.id,)}, groups={"g": lambda it: it.groups}
    )
    table.put("a", Record(1, "1", ("x", "y")))
    table.put("b", Record(2, "2", ("x",)))
    table.put("a", Record(3, "3", ("y",)))
    assert table.first("id", "1") is None and table.find("g", "x") == [Record(2, "2", ("x",))]
    assert [it.number for it in table.all()] == [2, 3]
    # A value may go to another record in the same change.
    table.put("b", Record(2, "3", ()))
    table.put("a", None)
    assert table.first("id", "3") == Record(2, "3", ())
    assert table.find("g", "y") == [] and len(table) == 1 and table.keys() == ["b"]
