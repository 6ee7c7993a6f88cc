package cli_test

import (
	"regexp"
	"strings"
	"testing"
	"time"

	real "github.com/towpath/towpath/internal/app/builder"
	"github.com/towpath/towpath/internal/cli"
	"github.com/towpath/towpath/internal/http/rest/api"
	"github.com/towpath/towpath/internal/towpath"
	"github.com/towpath/towpath/internal/towpathtest/gittest"
)

// TestReleaseVerify_rebuildsWhatWasExcepted: a reference that could move and a
// credential were let pass for a time that is over. The commit still gives its
// release; a new one is not made of it.
func TestReleaseVerify_rebuildsWhatWasExcepted(t *testing.T) {
	repo := gittest.New(t)
	repo.WriteFile("towpath.yaml", "version: 1\nproject: shop\ncomponents:\n  api: {kind: process, path: api, process: {command: [run]}}\nenvironments: {dev: {branch: main}}\n"+
		"pins:\n  exceptions: [{reference: 'redis:7', reason: not yet, until: 2020-03-31}]\n"+
		"secrets:\n  allow: [{path: api/key.pem, rule: private-key, reason: a key of tests, until: 2020-03-31}]\n")
	repo.WriteFile("api/run", "#!/bin/sh\n")
	repo.WriteFile("api/Dockerfile", "FROM redis:7\n")
	repo.WriteFile("api/key.pem", "-----BEGIN "+"PRIVATE KEY-----\n"+strings.Repeat("MIIEvQIBADANBgkqhkiG9w0BAQEFAASC", 4)+"\n-----END PRIVATE KEY-----\n")
	repo.Commit("first")
	for _, day := range []time.Time{{}, time.Date(2020, 4, 1, 0, 0, 0, 0, time.UTC)} {
		_, err := real.Build(t.Context(), cli.BuildRequest{Dir: repo.Dir, Version: "1.4.0", AsOf: day}, nil)
		if towpath.KindOf(err) != towpath.KindInvalid && towpath.KindOf(err) != towpath.KindDenied {
			t.Fatalf("as of %s: %v", day, err)
		}
	}
	then := time.Date(2020, 3, 31, 23, 0, 0, 0, time.UTC)
	built, err := real.Build(t.Context(), cli.BuildRequest{Dir: repo.Dir, Version: "1.4.0", AsOf: then}, nil)
	fatal(t, err)
	if built.Close != nil {
		defer built.Close()
	}
	s := newSite(t)
	s.shell.dir, s.shell.apps.Build = repo.Dir, real.Build
	for _, b := range built.Blobs {
		fatal(t, s.client.PutBlob(t.Context(), "shop", b.Digest, b.Size, b.Open))
	}
	publish := func(version, started string) {
		_, err := s.client.PublishRelease(t.Context(), "shop", api.PublishRelease{
			Manifest: built.Manifest, Commit: built.Commit, Ref: built.Ref, Version: version,
			Provenance: regexp.MustCompile(`"startedOn":"[^"]*"`).ReplaceAll(built.Provenance, []byte(`"startedOn":"`+started+`"`)),
		})
		fatal(t, err)
	}
	publish("1.4.0", then.Format(time.RFC3339))
	publish("1.4.1", "2020-04-01T00:00:00Z")
	key := keyFile(t, "mine.pub", s.sign(built.Digest, int64(len(built.Manifest))))
	if got := s.shell.run("release", "verify", "1.4.0", "--key", key, "--rebuild"); got.code != cli.ExitOK ||
		!strings.Contains(got.stdout, "rebuilt:      "+string(built.Digest)) || !strings.Contains(got.stdout, "as of:        2020-03-31") {
		t.Errorf("exit %d: %s%s", got.code, got.stdout, got.stderr)
	}
	if got := s.shell.run("release", "verify", "1.4.1", "--key", key, "--rebuild"); got.code != cli.ExitError || !strings.Contains(got.stderr, "2020-03-31") {
		t.Errorf("exit %d: %s%s", got.code, got.stdout, got.stderr)
	}
}
