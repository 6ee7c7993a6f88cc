package ocidist_test

import (
	"bufio"
	"bytes"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/towpath/towpath/internal/towpath"
	"github.com/towpath/towpath/internal/towpathtest/ocitest"
)

// staged counts the files of uploads in progress.
func (r *running) staged() int {
	r.t.Helper()
	entries, err := os.ReadDir(filepath.Join(r.data, "uploads"))
	if err != nil {
		r.t.Fatal(err)
	}
	return len(entries)
}

// eventually waits until f holds.
func eventually(t testing.TB, what string, f func() bool) {
	t.Helper()
	deadline := time.After(20 * time.Second)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !f() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("never: %s", what)
		}
	}
}

func TestUpload_SurvivesARestart(t *testing.T) {
	data := t.TempDir()
	first := start(t, data, "", nil)
	c := ocitest.NewClient(t, first.target("ana", towpath.RoleReleaser, towpath.RoleViewer))
	b := ocitest.Random(5000)
	a := c.Expect(c.Do("POST", c.Repo("blobs/uploads/"), nil), 202)
	a = c.Expect(c.Do("PATCH", c.Location(a), b[:2000]), 202)
	path := mustParse(t, c.Location(a)).Path
	first.stop()

	second := start(t, data, "", nil)
	c = ocitest.NewClient(t, second.target("ana"))
	a = c.Expect(c.Do("GET", path, nil), 204)
	if got := a.Header.Get("Range"); got != "0-1999" {
		t.Fatalf("after the restart it is at %q", got)
	}
	a = c.Expect(c.Do("PATCH", c.Location(a), b[2000:4000], "Content-Range", "2000-3999"), 202)
	c.Expect(c.Do("PUT", c.Location(a, "digest", ocitest.Sha256(b)), b[4000:]), 201)
	if got := c.Do("GET", c.Repo("blobs/"+ocitest.Sha256(b)), nil); !bytes.Equal(got.Body, b) {
		t.Errorf("%d bytes came", len(got.Body))
	}
	if n := second.staged(); n != 0 {
		t.Errorf("%d files are left", n)
	}
}

func mustParse(t *testing.T, s string) *url.URL {
	t.Helper()
	u, err := url.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// TestUpload_KeepsWhatCame cuts a connection in the middle of a piece, and goes
// on from where the server says it is.
func TestUpload_KeepsWhatCame(t *testing.T) {
	r := start(t, t.TempDir(), "", nil)
	target := r.target("ana", towpath.RoleReleaser, towpath.RoleViewer)
	c := ocitest.NewClient(t, target)
	b := ocitest.Random(100_000)
	a := c.Expect(c.Do("POST", c.Repo("blobs/uploads/"), nil), 202)

	conn, err := net.Dial("tcp", strings.TrimPrefix(target.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	out := bufio.NewWriter(conn)
	fmt.Fprintf(out, "PATCH %s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Length: %d\r\nContent-Range: 0-%d\r\n\r\n",
		mustParse(t, c.Location(a)).Path, target.Secret, len(b), len(b)-1)
	_, _ = out.Write(b[:60_000])
	if err := out.Flush(); err != nil {
		t.Fatal(err)
	}
	conn.Close()

	var at int
	eventually(t, "the upload has a piece", func() bool {
		got := c.Expect(c.Do("GET", c.Location(a), nil), 204).Header.Get("Range")
		_, err := fmt.Sscanf(got, "0-%d", &at)
		return err == nil && at > 0
	})
	if at++; at > 60_000 {
		t.Fatalf("%d bytes are there, and 60000 were sent", at)
	}
	a = c.Expect(c.Do("PATCH", c.Location(a), b[at:], "Content-Range", fmt.Sprintf("%d-%d", at, len(b)-1)), 202)
	c.Expect(c.Do("PUT", c.Location(a, "digest", ocitest.Sha256(b)), nil), 201)
}

func TestUpload_Expires(t *testing.T) {
	var later atomic.Int64
	r := start(t, t.TempDir(), "", func() time.Time { return time.Now().Add(time.Duration(later.Load())) })
	c := ocitest.NewClient(t, r.target("ana", towpath.RoleReleaser, towpath.RoleViewer))
	secret := func() { c.Target.Secret = r.target("ana").Secret } // the last one expires too
	a := c.Expect(c.Do("POST", c.Repo("blobs/uploads/"), nil), 202)
	a = c.Expect(c.Do("PATCH", c.Location(a), ocitest.Random(2000)), 202)

	later.Store(int64(23 * time.Hour))
	secret()
	a = c.Expect(c.Do("PATCH", c.Location(a), ocitest.Random(2000)), 202) // a piece gives it more time
	later.Store(int64(46 * time.Hour))
	secret()
	c.Expect(c.Do("GET", c.Location(a), nil), 204)
	later.Store(int64(48 * time.Hour))
	secret()
	c.ExpectCode(c.Do("GET", c.Location(a), nil), 404, "BLOB_UPLOAD_UNKNOWN")
	c.ExpectCode(c.Do("PATCH", c.Location(a), ocitest.Random(2000)), 404, "BLOB_UPLOAD_UNKNOWN")
}

// TestUpload_OnePieceAtATime: of two that add to one upload at once, one loses,
// and the upload is whole.
func TestUpload_OnePieceAtATime(t *testing.T) {
	each(t, func(t *testing.T, r *running) {
		c := ocitest.NewClient(t, r.target("ana", towpath.RoleReleaser, towpath.RoleViewer))
		b := ocitest.Random(1000)
		for range 20 {
			a := c.Expect(c.Do("POST", c.Repo("blobs/uploads/"), nil), 202)
			statuses := make(chan int, 4)
			for range cap(statuses) {
				go func() {
					got, err := c.Try("PATCH", c.Location(a), bytes.NewReader(b), "Content-Range", "0-999")
					if err != nil {
						t.Error(err)
					}
					statuses <- got.Status
				}()
			}
			taken := 0
			for range cap(statuses) {
				switch status := <-statuses; status {
				case 202:
					taken++
				case 416:
				default:
					t.Errorf("status %d", status)
				}
			}
			if taken != 1 {
				t.Fatalf("%d requests were taken", taken)
			}
			c.Expect(c.Do("PUT", c.Location(a, "digest", ocitest.Sha256(b)), nil), 201)
		}
		if n := r.staged(); n != 0 {
			t.Errorf("%d files are left", n)
		}
	})
}
