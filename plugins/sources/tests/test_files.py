import polars as pl
import pytest

from interestlab.errors import DataError
from interestlab_sources import quoted_csv
from interestlab_sources.columns import MAX_COLUMNS
from interestlab_sources.files import Files

CSV = 'user_id,item_id,timestamp,text\nu1,i1,1,"so, good"\nu2,i2,2,\n'
TSV = CSV.replace('"so, good"', "so@ good").replace(",", "\t").replace("@", ",")
JSONL = '{"user_id":"u1","item_id":"i1","timestamp":1,"text":"so, good"}\n{"user_id":"u2","item_id":"i2","timestamp":2}\n'


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize(("ending", "content"), [("csv", CSV), ("tsv", TSV), ("jsonl", JSONL), ("ndjson", JSONL)])
def test_text_formats_agree(write, ending, content, zipped):
    path = write(f"购物 log [1].{ending}" + (".gz" if zipped else ""), content, zipped)
    log = Files(path).read()
    first = 1 if "json" in ending else 2
    assert log.events.collect().to_dict(as_series=False) == {
        "user_id": ["u1", "u2"],
        "item_id": ["i1", "i2"],
        "timestamp": ["1", "2"],
        "text": ["so, good", None],
        "file": [path, path],
        "line": [first, first + 1],
    }
    assert log.rejected.collect().is_empty()
    assert log.items is None


def test_parquet_stays_typed(tmp_path):
    path = tmp_path / "a [1].parquet"
    pl.DataFrame({"user_id": [1], "item_id": ["i"], "timestamp": [5], "line": ["mine"], "tags": [["x"]]}).write_parquet(path)
    events = Files(str(path)).read().events.collect()
    assert events.to_dicts() == [{"user_id": 1, "item_id": "i", "timestamp": 5, "tags": ["x"], "file": str(path), "line": 1}]


def test_items_and_their_rejected_lines(write):
    log = Files(write("a.csv", CSV), write("b.csv", "item_id,title\ni1,Lamp\ni2\n")).read()
    assert log.items.collect()["title"].to_list() == ["Lamp"]
    assert log.rejected.collect().select("line", "reason").rows() == [(3, "1 fields, not 2")]


def test_mapping_applies_to_both_files_and_further_columns_remain(write):
    log = Files(
        write("a.csv", "who,asin,timestamp,title,mood\nu,i,1,t,happy\n"),
        write("b.csv", "asin,title\ni,Lamp\n"),
        columns={"user_id": "who", "item_id": "asin", "text": "title"},
    ).read()
    assert log.events.collect().drop("file", "line").to_dicts() == [
        {"user_id": "u", "item_id": "i", "text": "t", "timestamp": "1", "mood": "happy"}
    ]
    assert log.items.collect_schema().names() == ["item_id", "text", "file", "line"]


def test_mapping_to_an_unknown_column_suggests_a_similar_one(write):
    with pytest.raises(DataError, match=r"no column 'user_idd' for user_id; did you mean 'user_id'\? columns: user_id,"):
        Files(write("a.csv", CSV), columns={"user_id": "user_idd"}).read()


@pytest.mark.parametrize("columns", ["user,item_id,timestamp", "user_id,item_id"])
def test_a_required_column_is_missing(write, columns):
    with pytest.raises(DataError, match="name yours in `columns`"):
        Files(write("a.csv", f"{columns}\n" + "x," * columns.count(",") + "x\n")).read()


def test_json_values_become_text(write):
    line = '{"user_id":7,"item_id":5.0,"timestamp":null,"a":true,"b":{"c":[1, 2]},"d":"","e":12345678901234567890}'
    row = Files(write("a.jsonl", line)).read().events.collect().row(0, named=True)
    expected = {"user_id": "7", "item_id": "5.0", "timestamp": None, "a": "true", "b": '{"c":[1,2]}', "d": ""}
    assert {k: row[k] for k in expected} == expected
    assert row["e"] == "12345678901234567890"


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (b"nonsense", "not JSON"),
        (b"[1]", "not a JSON object"),
        (b'{"user_id": NaN}', "not JSON"),
        (b'{"user_id": 1e400}', "not JSON"),
        (b'{"user_id": "\xff"}', "not UTF-8 at byte 14"),
        (b'{"user_id": "\x00"}', "a NUL byte"),
        (b'{"user_id":' + b"[" * 500 + b"]" * 500 + b"}", "nested too deeply"),
        (b'{"user_id":' + b"[" * 100_000, "not JSON"),
    ],
)
def test_one_bad_json_line_does_not_affect_the_others(write, bad, reason):
    good = b'{"user_id":"u","item_id":"i","timestamp":1}\n'
    log = Files(write("a.jsonl", good + b"\n" + bad + b"\n" + good)).read()
    assert log.events.collect()["line"].to_list() == [1, 4]
    ((line, why),) = log.rejected.collect().select("line", "reason").rows()
    assert line == 3
    assert reason in why
    assert "\n" not in why


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (b"u,i", "2 fields, not 3"),
        (b"u,i,1,2", "4 fields"),
        (b"\xff,i,1", "not UTF-8 at byte 1"),
        (b"\x00,i,1", "a NUL byte"),
        (b'"u,i,1', "not CSV"),
        (b'u,"i"x,1', "not CSV"),
        (b'"u\nv",i', "2 fields, not 3"),
    ],
)
def test_one_bad_csv_record_does_not_affect_the_others(write, bad, reason):
    log = Files(write("a.csv", b"user_id,item_id,timestamp\nu1,i,1\n\n" + bad + b"\nu2,i,2\r\nu3,i,3")).read()
    assert log.events.collect()["user_id"].to_list() == ["u1", "u2", "u3"]
    ((line, why),) = log.rejected.collect().select("line", "reason").rows()
    assert line == 4
    assert reason in why


def test_an_unclosed_quote_does_not_swallow_the_rest(write):
    rows = "".join(f"u{i},i,{i}\n" for i in range(30_000))
    log = Files(write("a.csv", f'user_id,item_id,timestamp\n"open,i,1\n{rows}')).read()
    assert log.events.collect().height == 30_000
    assert log.rejected.collect()["line"].to_list() == [2]


@pytest.mark.parametrize("ending", ["csv", "tsv"])
def test_a_long_text_is_a_good_row(write, ending):
    text = "word " * 40_000
    separator = "," if ending == "csv" else "\t"
    log = Files(write(f"a.{ending}", f"user_id,item_id,timestamp,text\nu,i,1,{text}\n".replace(",", separator))).read()
    assert log.events.collect()["text"].to_list() == [text]


def test_open_quotes_on_every_line_do_not_take_quadratic_time(write, monkeypatch):
    content = "user_id,item_id,timestamp\nu,i,1\n" + 'x","\n' * 200 + "y\n"
    monkeypatch.setattr(quoted_csv, "_REREAD_EXTRA", 10_000)
    with pytest.raises(DataError, match=r"a\.csv: quotes are opened and not closed, up to line \d+; double those in a field"):
        Files(write("a.csv", content)).read()
    monkeypatch.undo()
    assert Files(write("b.csv", content)).read().rejected.collect().height == 201


def test_a_quoted_field_may_span_lines(write):
    log = Files(write("a.csv", 'user_id,item_id,timestamp,text\nu,i,1,"a\n\n""b"""\nv,j,2,c\n')).read()
    assert log.events.collect().select("line", "text").rows() == [(2, 'a\n\n"b"'), (5, "c")]


def test_an_unnamed_column_gets_a_name(write):
    log = Files(write("a.csv", b"\xef\xbb\xbf,user_id,item_id,timestamp\n0,u,i,1\n")).read()
    assert log.events.collect().row(0, named=True)["column_1"] == "0"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", "user_id,item_id,timestamp\n"),
        ("a.csv", "\n\n"),
        ("a.csv", '"user_id\n'),
        ("a.csv", b"user_id,\xff\n1,2\n"),
        ("a.csv", "a,a\n1,2\n"),
        ("a.jsonl", "\n \n"),
        ("a.jsonl", "{}\n"),
        ("a.jsonl", "x\n[]\n"),
        ("a.parquet", "no parquet"),
        ("a.parquet", b"PAR1" + bytes(100) + b"PAR1"),
        ("a.xlsx", "x"),
        ("a.jsonl", "".join(f'{{"k{i}":1}}\n' for i in range(MAX_COLUMNS + 1))),
    ],
)
def test_unusable_files_raise_one_line_that_names_the_file(write, name, content):
    with pytest.raises(DataError) as error:
        Files(write(name, content)).read()
    assert name in str(error.value)
    assert "\n" not in str(error.value)


def test_a_corrupted_parquet_page_is_a_data_error(tmp_path):
    path = tmp_path / "a.parquet"
    pl.DataFrame({"user_id": [str(i * 7919 % 100_003) for i in range(5000)]}).write_parquet(path)
    raw = bytearray(path.read_bytes())
    raw[20:2000] = bytes(1980)
    path.write_bytes(raw)
    with pytest.raises(DataError, match="corrupted"):
        Files(str(path)).read()


def test_files_are_those_that_are_read(write):
    source = Files(write("a.csv", CSV), write("b.csv", "item_id\ni\n"))
    assert [path.name for path in source.files()] == ["a.csv", "b.csv"]
    assert source.spec["init_args"] == {"interactions": source.interactions, "items": source.items}
    with pytest.raises(DataError, match="no such file"):
        Files("nowhere.csv").files()


def test_beauty(data):
    folder = data / "amazon_beauty_5core_2014"
    log = Files(str(folder / "interactions.parquet"), str(folder / "items.parquet")).read()
    assert log.events.select(pl.len()).collect().item() == 198_502
    assert log.items.select(pl.col("item_id").n_unique()).collect().item() == 12_101
