package blob

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/towpath/towpath/internal/towpath"
)

// TestBlobName: each digest has a name of its own, and names are in the order
// of digests.
func TestBlobName(t *testing.T) {
	digest := rapid.Custom(func(t *rapid.T) towpath.Digest {
		algorithm, digits := towpath.SHA256, 64
		if rapid.Bool().Draw(t, "long") {
			algorithm, digits = towpath.SHA512, 128
		}
		return towpath.Digest(algorithm + ":" + rapid.StringOfN(rapid.RuneFrom([]rune("0123456789abcdef")), digits, digits, -1).Draw(t, "hex"))
	})
	rapid.Check(t, func(t *rapid.T) {
		a, b := digest.Draw(t, "a"), digest.Draw(t, "b")
		if got := digestOf(blobName(a)); got != a {
			t.Fatalf("%s is named %s, which names %q", a, blobName(a), got)
		}
		if strings.Compare(blobName(a), blobName(b)) != strings.Compare(string(a), string(b)) {
			t.Fatalf("%s and %s are in another order than %s and %s", blobName(a), blobName(b), a, b)
		}
		// The mark of a blob is right behind it.
		if mark := blobName(a) + usedSuffix; digestOf(mark) != "" || a != b && (mark < blobName(b)) != (blobName(a) < blobName(b)) {
			t.Fatalf("the mark %s is out of order", mark)
		}
	})
}

// FuzzDigestOf: what is taken for a blob has the name of that blob, whatever
// others put into the bucket.
func FuzzDigestOf(f *testing.F) {
	d := towpath.DigestOf([]byte("x"))
	for _, name := range []string{blobName(d), blobName(d) + ".used", "corrupt/" + blobName(d), "sha256/ab/" + d.Encoded(), "sha256//" + d.Encoded(),
		"sha512/2d/" + d.Encoded(), "/" + blobName(d), "towpath-place", "uploads/x.y", "", "/", "sha256:" + d.Encoded()} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		if d := digestOf(name); d != "" && (d.Algorithm() == "" || blobName(d) != name) {
			t.Errorf("%q is taken for %q", name, d)
		}
	})
}

func TestParseS3URL(t *testing.T) {
	got, err := ParseS3URL("s3://bucket/some/prefix/?endpoint=https%3A%2F%2Fminio.example.com%3A9000&region=eu-1&path-style=true")
	want := S3Config{Bucket: "bucket", Prefix: "some/prefix", Endpoint: "https://minio.example.com:9000", Region: "eu-1", PathStyle: true}
	if err != nil || got != want {
		t.Errorf("got %+v, %v", got, err)
	}
	for _, ok := range []string{"s3://bucket", "s3://bucket/", "s3://bucket?endpoint=http://127.0.0.1:9000", "s3://bucket?endpoint=http://localhost", "s3://bucket?endpoint=http://minio:9000&plain-http=true"} {
		if _, err := ParseS3URL(ok); err != nil {
			t.Errorf("%s: %v", ok, err)
		}
	}
	for text, why := range map[string]string{
		"":                                        "not an s3:// URL",
		"/var/lib/blobs":                          "not an s3:// URL",
		"https://bucket.s3.amazonaws.com":         "not an s3:// URL",
		"s3://":                                   "not the name of a bucket",
		"s3://Bucket_1":                           "not the name of a bucket",
		"s3://bucket/a/../b":                      "not a prefix",
		"s3://bucket/a//b":                        "not a prefix",
		"s3://bucket/a%20b":                       "not a prefix",
		"s3://bucket#x":                           "can't be read",
		"s3://bucket?path-style=perhaps":          "neither true nor false",
		"s3://bucket?regoin=x":                    `"regoin"`,
		"s3://bucket?endpoint=minio:9000":         "not the URL of a server",
		"s3://bucket?endpoint=https://h/path":     "not the URL of a server",
		"s3://bucket?endpoint=http://h":           "not encrypted",
		"s3://AKIA:secret@bucket":                 "has credentials in it",
		"s3://bucket?access-key=secret":           `"access-key"`,
		"s3://bucket?endpoint=https://u:secret@h": "has credentials in it",
	} {
		_, err := ParseS3URL(text)
		var e *towpath.Error
		if !errors.As(err, &e) || e.Kind != towpath.KindInvalid || e.Hint == "" || !strings.Contains(err.Error(), why) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: got %v, want it to say %q and what to do", text, err, why)
		}
	}
	_, err = ParseS3URL("s3://B/a//b?path-style=2&colour=red")
	for _, part := range []string{"bucket", "prefix", "path-style", "colour"} {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("it does not say all that is wrong: %v", err)
		}
	}
}

func TestSpool(t *testing.T) {
	t.Run("what is large goes to a file that has no name", func(t *testing.T) {
		dir := t.TempDir()
		s := newSpool(dir)
		defer s.Close()
		want := []byte(strings.Repeat("0123456789", 60_000))
		for rest := want; len(rest) > 0; {
			n := min(len(rest), 7919)
			if _, err := s.Write(rest[:n]); err != nil {
				t.Fatal(err)
			}
			rest = rest[n:]
		}
		got := make([]byte, len(want))
		if n, err := s.ReadAt(got, 0); n != len(want) || !bytes.Equal(got, want) || s.size != int64(len(want)) || s.file == nil {
			t.Errorf("read %d of %d bytes, %v", n, s.size, err)
		}
		if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
			t.Errorf("there are %v, %v", left, err)
		}
	})
	t.Run("a folder that is not there is said", func(t *testing.T) {
		s := newSpool(filepath.Join(t.TempDir(), "none"))
		defer s.Close()
		_, err := s.Write(make([]byte, spoolMemory+1))
		var e *towpath.Error
		if !errors.As(err, &e) || e.Kind != towpath.KindUnavailable || e.Hint == "" {
			t.Errorf("got %v", err)
		}
	})
}

// TestOutlive: what was brought is sent for a while after who brought it has
// gone, and for as long as it takes while they are there.
func TestOutlive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		there, leave := context.WithCancel(t.Context())
		ctx, cancel := outlive(there, time.Minute)
		defer cancel()
		ends := func(after time.Duration) {
			t.Helper()
			time.Sleep(after)
			synctest.Wait()
		}
		if ends(time.Hour); ctx.Err() != nil {
			t.Fatal("it ended while they were there")
		}
		leave()
		if ends(time.Minute - 1); ctx.Err() != nil {
			t.Fatal("it ended too early")
		}
		if ends(1); ctx.Err() == nil {
			t.Fatal("it goes on for ever")
		}
		_, done := outlive(there, time.Minute)
		done() // the bubble would not end with what it leaves behind
	})
}
