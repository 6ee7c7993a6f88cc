package server

import (
	"encoding/json"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/minio/minio-go/v7"

	rest "github.com/towpath/towpath/internal/http/rest/api"
	"github.com/towpath/towpath/internal/towpath"
	"github.com/towpath/towpath/internal/towpathtest/dbtest"
	"github.com/towpath/towpath/internal/towpathtest/gittest"
	"github.com/towpath/towpath/internal/towpathtest/s3test"
)

// objectStore starts an object store whose credentials are in the environment.
func objectStore(t *testing.T) *s3test.Server {
	t.Helper()
	t.Setenv("AWS_ACCESS_KEY_ID", s3test.AccessKey)
	t.Setenv("AWS_SECRET_ACCESS_KEY", s3test.SecretKey)
	return s3test.Start(t)
}

// onBucket runs the server on PostgreSQL, with its blobs in a bucket.
func onBucket(t *testing.T, store *s3test.Server, bucket string) *harness {
	t.Helper()
	h := startHarness(t, Config{Data: t.TempDir(), Database: dbtest.PostgresURL(t), Blobs: store.Place(store.Bucket(t, bucket))}, gittest.New(t))
	h.introduce()
	return h
}

func TestServer_KeepsItsBlobsInABucket(t *testing.T) {
	store := objectStore(t)
	t.Run("and carries releases", func(t *testing.T) { carriesUpstreamAndBack(t, onBucket(t, store, "flow")) })
	t.Run("and collects nothing that a release needs", func(t *testing.T) { collectsNothingThatAReleaseNeeds(t, onBucket(t, store, "garbage")) })
	t.Run("and keeps what a builder asked for", func(t *testing.T) { keepsWhatABuilderAskedFor(t, onBucket(t, store, "builder")) })
}

// startOn starts a server and stops it again.
func startOn(t *testing.T, data, database, blobs string) error {
	t.Helper()
	s, err := New(t.Context(), Config{Data: data, Database: database, Blobs: blobs, Listen: "127.0.0.1:0", Version: "test", Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	return s.Close()
}

// TestServer_JoinsItsBucket: servers of one database share a bucket and keys.
func TestServer_JoinsItsBucket(t *testing.T) {
	store := objectStore(t)
	database, data := dbtest.PostgresURL(t), t.TempDir()
	blobs := store.Place(store.Bucket(t, "one") + "/blobs")
	must(t, 0, startOn(t, data, database, blobs))
	must(t, 0, startOn(t, data, database, blobs))
	refused := func(data, blobs, why string) {
		t.Helper()
		err := startOn(t, data, database, blobs)
		if towpath.KindOf(err) != towpath.KindConflict || !strings.Contains(err.Error(), why) {
			t.Errorf("got %v, want it to say %q", err, why)
		}
		if _, hint := towpath.PublicMessage(err); !strings.Contains(hint, "use a database of its own") && !strings.Contains(hint, "or a database of its own") {
			t.Errorf("the hint is %q", hint)
		}
	}
	other := t.TempDir()
	bring := func(name string) {
		t.Helper()
		key, err := os.ReadFile(filepath.Join(data, name))
		must(t, 0, err)
		must(t, 0, os.WriteFile(filepath.Join(other, name), key, 0o600))
	}
	refused(other, blobs, "no attestation.key")
	refused(other, blobs, "no attestation.key") // it has not made one meanwhile
	bring("attestation.key")
	refused(other, blobs, "signed with another key")
	bring("ledger.key")
	must(t, 0, startOn(t, other, database, blobs))
	refused(other, store.Place("one/elsewhere"), "in another place")
	refused(data, store.Place(store.Bucket(t, "two")+"/blobs"), "in another place")
	t.Run("of the same name in another object store is another one", func(t *testing.T) {
		second := s3test.Start(t)
		second.Bucket(t, "one")
		refused(data, second.Place("one/blobs"), "in another place")
	})
	refused(data, "", "in another place")
	t.Run("without credentials nothing starts", func(t *testing.T) {
		t.Setenv("AWS_ACCESS_KEY_ID", "stranger")
		err := startOn(t, data, database, blobs)
		if _, hint := towpath.PublicMessage(err); err == nil || !strings.Contains(hint, "AWS_ACCESS_KEY_ID") {
			t.Errorf("got %v, with the hint %q", err, hint)
		}
	})
}

// TestServer_MovesItsFolderIntoABucket does what the guide says.
func TestServer_MovesItsFolderIntoABucket(t *testing.T) {
	store := objectStore(t)
	cfg := Config{Data: folder(t)}
	h := startHarness(t, cfg, gittest.New(t))
	h.introduce()
	h.publish("1.0.0", "one")
	h.stop()

	bucket := store.Bucket(t, "moved")
	upload := func(key, path string) {
		t.Helper()
		_, err := store.Client().FPutObject(t.Context(), bucket, key, path, minio.PutObjectOptions{})
		must(t, 0, err)
	}
	blobs := filepath.Join(cfg.Data, "blobs")
	must(t, 0, filepath.WalkDir(blobs, func(path string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			rel, _ := filepath.Rel(blobs, path)
			upload("towpath/"+filepath.ToSlash(rel), path)
		}
		return err
	}))
	id, err := os.ReadFile(filepath.Join(cfg.Data, "blobs.id"))
	must(t, 0, err)
	name := filepath.Join(t.TempDir(), "towpath-place")
	must(t, 0, os.WriteFile(name, append(id, "s3://moved/towpath\n"...), 0o600))
	upload("towpath/towpath-place", name)
	must(t, 0, os.RemoveAll(blobs))

	cfg.Blobs = store.Place("moved/towpath")
	h = startHarness(t, cfg, h.repo)
	pull(h.registryAs("vic", towpath.RoleViewer), "1.0.0")
	h.publish("1.1.0", "two")
}

// TestServer_SaysThatItsBucketIsAway: what needs no blobs goes on.
func TestServer_SaysThatItsBucketIsAway(t *testing.T) {
	store := objectStore(t)
	h := onBucket(t, store, "away")
	blobs := func() (rest.Readiness, rest.CheckResult) {
		t.Helper()
		res, err := http.Get(h.s.URL() + "/readyz")
		must(t, 0, err)
		defer res.Body.Close()
		var ready rest.Readiness
		must(t, 0, json.NewDecoder(res.Body).Decode(&ready))
		if res.StatusCode != http.StatusOK {
			t.Errorf("it answers %d", res.StatusCode)
		}
		for _, c := range ready.Checks {
			if c.Name == "blobs" {
				return ready, c
			}
		}
		t.Fatalf("nothing is said of blobs: %+v", ready)
		return ready, rest.CheckResult{}
	}
	if ready, c := blobs(); ready.Status != rest.Ready || !c.OK {
		t.Errorf("got %+v", ready)
	}
	store.Break(s3test.Answer(http.StatusServiceUnavailable, "SlowDown"))
	ready, c := blobs()
	if ready.Status != rest.Degraded || c.OK || c.Hint == "" {
		t.Errorf("got %+v", ready)
	}
	store.Break(s3test.Answer(http.StatusForbidden, "InvalidAccessKeyId"))
	if _, c := blobs(); !strings.Contains(c.Hint, "AWS_ACCESS_KEY_ID") {
		t.Errorf("got %+v", c)
	}
	store.Break(nil)
	if ready, _ := blobs(); ready.Status != rest.Ready {
		t.Errorf("got %+v", ready)
	}
}
