from __future__ import annotations

import pytest

from trainables.uris import check_keyless, without_keys


@pytest.mark.parametrize(
    ("uri", "bare"),
    [
        ("s3://KEY:hunter2@bucket/x.npz", "s3://bucket/x.npz"),
        ("s3://KEY:hun/ter2@bucket/x.npz?scheme=http", "s3://bucket/x.npz?scheme=http"),
        ("s3://KEY@bucket/x.npz", "s3://bucket/x.npz"),
        ("hdfs://user:hunter2@host/x", "hdfs://host/x"),
    ],
)
def test_keys_are_refused_and_not_repeated(uri, bare):
    with pytest.raises(ValueError, match=r"^leave the keys out .*AWS_SECRET_ACCESS_KEY") as refused:
        check_keyless(uri)
    assert "ter2" not in str(refused.value)
    assert without_keys(uri) == bare


@pytest.mark.parametrize(
    "uri",
    ["runs", "a:b@c/x.npz", "s3://bucket/a:b@c.npz", "s3://bucket/x@2.npz", "gs://bucket/x", "abfs://files@account/x"],
)
def test_what_is_none_is_left_alone(uri):
    check_keyless(uri)
    assert without_keys(uri) == uri
