package cli_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/towpath/towpath/internal/app/server"
	"github.com/towpath/towpath/internal/cli"
	"github.com/towpath/towpath/internal/evidence"
	"github.com/towpath/towpath/internal/http/rest/api"
	"github.com/towpath/towpath/internal/http/rest/client"
	"github.com/towpath/towpath/internal/oci"
	"github.com/towpath/towpath/internal/replicate"
	"github.com/towpath/towpath/internal/signing"
	"github.com/towpath/towpath/internal/towpath"
)

// site is a real server with the project shop, and a shell of who releases.
type site struct {
	t      *testing.T
	server *server.Server
	client *client.Client
	shell  *shell
	token  string
	marks  int
}

func newSite(t *testing.T) *site {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	s, err := server.New(ctx, server.Config{Data: t.TempDir(), Listen: "127.0.0.1:0", Version: "test", Log: slog.New(slog.DiscardHandler)})
	fatal(t, err)
	done := make(chan struct{})
	go func() { defer close(done); _ = s.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	fatal(t, s.Register(ctx, "shop", ""))
	made, err := s.Account(ctx, "rea", nil, []towpath.Role{towpath.RoleReleaser, towpath.RoleViewer}, time.Hour)
	fatal(t, err)
	c, err := client.New(client.Config{URL: s.URL(), Token: client.Token(made.Secret)})
	fatal(t, err)
	sh := newShell(t, nil)
	sh.env["TOWPATH_URL"], sh.env["TOWPATH_TOKEN"], sh.env["TOWPATH_PROJECT"] = s.URL(), made.Secret, "shop"
	return &site{t: t, server: s, client: c, shell: sh, token: made.Secret}
}

// publish publishes a release that says what, as often as there are versions.
func (s *site) publish(what string, versions ...string) (towpath.Digest, int64) {
	s.t.Helper()
	ctx := s.t.Context()
	layer := bytes.Repeat([]byte("files of "+what+". "), 40_000)
	spec := json.RawMessage(`{}`)
	enc, err := oci.Encode(&towpath.ReleaseContent{
		Schema: towpath.ReleaseSchema, Project: "shop",
		Components: []towpath.ReleaseComponent{{Name: "api", Kind: towpath.KindProcess, Layer: towpath.DigestOf(layer), Size: int64(len(layer)), Rollout: towpath.RolloutSpec{Strategy: towpath.StrategyBlueGreen}, Drift: towpath.DriftReport}},
		Environments: []towpath.ReleaseEnvironment{{Rules: towpath.EnvironmentSpec{Name: "prod", Promotion: towpath.PromotionManual, Place: "local"}, Components: []towpath.RenderedComponent{{
			Name: "api", Spec: spec, Revision: towpath.RevisionOf(towpath.KindProcess, towpath.DigestOf(layer), spec),
		}}}},
	})
	fatal(s.t, err)
	for _, b := range [][]byte{layer, enc.Content} {
		fatal(s.t, s.client.PutBlob(ctx, "shop", towpath.DigestOf(b), int64(len(b)), func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b)), nil }))
	}
	for _, v := range versions {
		_, err := s.client.PublishRelease(ctx, "shop", api.PublishRelease{
			Manifest: enc.Manifest, Commit: commit, Ref: "refs/heads/main", Version: v,
			Provenance: []byte(`{"subject":[{"digest":{"sha256":"` + enc.Digest.Hex() + `"}}], "version": "` + v + `"}`),
		})
		fatal(s.t, err)
	}
	return enc.Digest, int64(len(enc.Manifest))
}

// attach attaches something to a manifest, and says what it attached.
func (s *site) attach(subject towpath.Digest, size int64, bill string) (towpath.Digest, int64) {
	s.t.Helper()
	a, err := oci.AttachSBOM(oci.Blob{Digest: subject, Size: size}, []byte(bill))
	fatal(s.t, err)
	fatal(s.t, s.client.Attach(s.t.Context(), "shop", a))
	return a.Digest, int64(len(a.Manifest))
}

// sign attaches a signature by a new key, and returns that key.
func (s *site) sign(subject towpath.Digest, size int64) *signing.Key {
	s.t.Helper()
	key, err := signing.Generate()
	fatal(s.t, err)
	statement, err := evidence.MakeSignature(subject)
	fatal(s.t, err)
	bundle, err := signing.Sign(s.t.Context(), key, statement)
	fatal(s.t, err)
	a, err := oci.AttachBundle(oci.Blob{Digest: subject, Size: size}, evidence.TypeSignature, bundle, noon())
	fatal(s.t, err)
	fatal(s.t, s.client.Attach(s.t.Context(), "shop", a))
	return key
}

// ok runs a command that succeeds.
func (s *site) ok(args ...string) run {
	s.t.Helper()
	got := s.shell.run(args...)
	if got.code != 0 {
		s.t.Fatalf("%q: exit %d: %s", args, got.code, got.stderr)
	}
	return got
}

func decode[T any](t *testing.T, text string) (out T) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), &out); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	return out
}

type counted struct{ Copied, Present int }

type imported struct {
	Created   bool
	Uploaded  int64
	Manifests counted
	Versions  []string
	SignedBy  string
	Unused    []string
}

func file(t *testing.T, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(name)
	fatal(t, err)
	return b
}

// TestRelease_ImportPassesOverWhatIsTooLarge: what is too large for a bundle, which whoever may
// push can attach as one, proves nothing and keeps no signature from being found.
func TestRelease_ImportPassesOverWhatIsTooLarge(t *testing.T) {
	s := newSite(t)
	release, n := s.publish("one", "1.4.0")
	s.sign(release, n)
	a, err := oci.AttachBundle(oci.Blob{Digest: release, Size: n}, evidence.TypeSignature, make([]byte, signing.MaxBundle+1), noon())
	fatal(t, err)
	fatal(t, s.client.Attach(t.Context(), "shop", a))
	tar := filepath.Join(t.TempDir(), "one.tar")
	s.ok("release", "export", "1.4.0", "--to", tar)
	got := s.shell.run("release", "import", tar, "--key", keyFile(t, "other.pub", nil))
	if got.code != cli.ExitDenied || !strings.Contains(got.stderr, "none of the given keys signed the release") || !strings.Contains(got.stderr, "the content has more than") {
		t.Errorf("exit %d: %s", got.code, got.stderr)
	}
}

func TestRelease_ExportAndImport(t *testing.T) {
	from, to := newSite(t), newSite(t)
	release, n := from.publish("one", "1.4.0+g1a2b3c4", "1.4.0-rc.1")
	bill, m := from.attach(release, n, `{"bomFormat":"CycloneDX"}`)
	from.sign(bill, m) // about what is about the release
	key := from.sign(release, n)
	dir := t.TempDir()
	tar := filepath.Join(dir, "one.tar")
	from.ok("release", "export", "1.4.0-rc.1", "--to", tar)

	public, other := keyFile(t, "mine.pub", key), keyFile(t, "other.pub", nil)
	t.Run("what none of the keys signed is refused, and nothing is sent", func(t *testing.T) {
		got := to.shell.run("release", "import", tar, "--key", other)
		if got.code != cli.ExitDenied || !strings.Contains(got.stderr, "none of the given keys signed the release") {
			t.Errorf("exit %d: %s", got.code, got.stderr)
		}
		if _, err := to.client.HasBlob(t.Context(), "shop", release); towpath.KindOf(err) != towpath.KindNotFound {
			t.Errorf("got %v", err)
		}
	})
	t.Run("it is published with all that is about it", func(t *testing.T) {
		got := decode[imported](t, to.ok("release", "import", tar, "--key", public, "-o", "json").stdout)
		if !got.Created || got.Manifests != (counted{Copied: 4}) || got.Uploaded < 1<<19 || len(got.Versions) != 2 || got.SignedBy != public || len(got.Unused) != 0 {
			t.Errorf("got %+v", got)
		}
		r, err := to.client.Release(t.Context(), "shop", "1.4.0+g1a2b3c4")
		if err != nil || r.Digest != release || len(r.Candidates) != 2 {
			t.Errorf("got %+v, %v", r, err)
		}
	})
	t.Run("what is about it came in the same transaction", func(t *testing.T) {
		to.events()
		if list := to.ok("audit", "list", "--action", "evidence.attached", "-o", "json").stdout; !strings.Contains(list, string(bill)) {
			t.Errorf("got %s", list)
		}
	})
	t.Run("the candidates are the same", func(t *testing.T) {
		for _, name := range []string{"1.4.0+g1a2b3c4", "1.4.0-rc.1"} {
			a, err := from.client.Provenance(t.Context(), "shop", name)
			fatal(t, err)
			b, err := to.client.Provenance(t.Context(), "shop", name)
			if err != nil || a.Candidate.ID != b.Candidate.ID || !bytes.Equal(a.Statement, b.Statement) {
				t.Errorf("%+v and %+v, %v", a.Candidate, b.Candidate, err)
			}
		}
	})
	t.Run("again changes nothing", func(t *testing.T) {
		before := to.events()
		got := decode[imported](t, to.ok("release", "import", tar, "-o", "json").stdout)
		if got.Created || got.Manifests != (counted{Present: 4}) || got.Uploaded != 0 {
			t.Errorf("got %+v", got)
		}
		if after := to.events(); after != before {
			t.Errorf("%d events, then %d", before, after)
		}
	})
	t.Run("exported from there it is the same, byte by byte", func(t *testing.T) {
		again := filepath.Join(dir, "again.tar")
		to.ok("release", "export", "1.4.0-rc.1", "--to", again)
		if !bytes.Equal(file(t, tar), file(t, again)) {
			t.Error("they differ")
		}
	})
	t.Run("a folder has the same as an archive", func(t *testing.T) {
		folder, third := filepath.Join(dir, "layout"), newSite(t)
		to.ok("release", "export", string(release), "--to", folder)
		third.ok("release", "import", folder)
		again := filepath.Join(dir, "third.tar")
		third.ok("release", "export", "1.4.0-rc.1", "--to", again)
		if !bytes.Equal(file(t, tar), file(t, again)) {
			t.Error("they differ")
		}
	})
	t.Run("what is there is not written over", func(t *testing.T) {
		if got := from.shell.run("release", "export", "1.4.0-rc.1", "--to", tar); got.code != 1 || !strings.Contains(got.stderr, "there is something at") {
			t.Errorf("exit %d: %s", got.code, got.stderr)
		}
	})
}

// events is how many entries the ledger has about anything but what this pushes
// to know that everything before it was numbered.
func (s *site) events() int {
	s.t.Helper()
	s.marks++
	mark, _ := s.attach(towpath.DigestOf([]byte("nothing")), 7, fmt.Sprintf(`{"mark":%d}`, s.marks))
	deadline := time.After(20 * time.Second)
	poll := time.NewTicker(20 * time.Millisecond)
	defer poll.Stop()
	for {
		list := s.ok("audit", "list", "--limit", "500", "-o", "json").stdout
		if strings.Contains(list, string(mark)) {
			return strings.Count(list, `"action"`) - s.marks
		}
		select {
		case <-poll.C:
		case <-deadline:
			s.t.Fatal("the mark was never numbered")
		}
	}
}

func TestReleaseImport_RefusesAVersionOfSomethingElse(t *testing.T) {
	from, to := newSite(t), newSite(t)
	from.publish("one", "1.4.0")
	other, _ := to.publish("two", "1.4.0")
	tar := filepath.Join(t.TempDir(), "one.tar")
	from.ok("release", "export", "1.4.0", "--to", tar)
	before := to.events()
	got := to.shell.run("release", "import", tar)
	if got.code != 1 || !strings.Contains(got.stderr, "a version never moves") || !strings.Contains(got.stderr, string(other)) {
		t.Errorf("exit %d: %s", got.code, got.stderr)
	}
	if after := to.events(); after != before {
		t.Errorf("%d events, then %d", before, after)
	}
}

// TestReleaseImport_Damaged damages each file of a layout: it is named, and
// nothing was sent.
func TestReleaseImport_Damaged(t *testing.T) {
	from, to := newSite(t), newSite(t)
	release, n := from.publish("one", "1.4.0")
	from.sign(release, n)
	layout := filepath.Join(t.TempDir(), "layout")
	from.ok("release", "export", "1.4.0", "--to", layout)
	blobs, err := filepath.Glob(filepath.Join(layout, "blobs", "sha256", "*"))
	if fatal(t, err); len(blobs) < 7 {
		t.Fatalf("%d blobs", len(blobs))
	}
	before := to.events()
	for _, name := range blobs {
		good := file(t, name)
		bad := bytes.Clone(good)
		bad[len(bad)-1] ^= 1
		fatal(t, os.WriteFile(name, bad, 0o600))
		if got := to.shell.run("release", "import", layout); got.code != cli.ExitError || !strings.Contains(got.stderr, filepath.Base(name)) {
			t.Errorf("exit %d, and not %s: %s", got.code, filepath.Base(name), got.stderr)
		}
		fatal(t, os.WriteFile(name, good, 0o600))
	}
	empty := towpath.DigestOf([]byte("{}")).Hex() // what marks have too
	for _, name := range slices.DeleteFunc(blobs, func(b string) bool { return filepath.Base(b) == empty }) {
		if _, err := to.client.HasBlob(t.Context(), "shop", towpath.Digest("sha256:"+filepath.Base(name))); towpath.KindOf(err) != towpath.KindNotFound {
			t.Errorf("%s was sent: %v", filepath.Base(name), err)
		}
	}
	if after := to.events(); before == 0 || after != before {
		t.Errorf("%d events, then %d", before, after)
	}
	t.Run("whole again it is taken", func(t *testing.T) { to.ok("release", "import", layout) })
}

// TestReleaseImport_WhatIsPushed has referrers that can't be published with the
// release: more than one publication takes, an index, and one about another.
func TestReleaseImport_WhatIsPushed(t *testing.T) {
	from, to := newSite(t), newSite(t)
	release, n := from.publish("one", "1.4.0")
	last, m := release, n
	for i := range 70 {
		last, m = from.attach(release, n, fmt.Sprintf(`{"bomFormat":"CycloneDX","version":%d}`, i))
	}
	for range 3 { // a chain
		last, m = from.attach(last, m, `{"bomFormat":"CycloneDX"}`)
	}
	dir := t.TempDir()
	a, b := filepath.Join(dir, "a.tar"), filepath.Join(dir, "b.tar")
	from.ok("release", "export", "1.4.0", "--to", a)
	if got := decode[imported](t, to.ok("release", "import", a, "-o", "json").stdout); got.Manifests != (counted{Copied: 74}) {
		t.Errorf("got %+v", got)
	}
	to.ok("release", "export", "1.4.0", "--to", b)
	if !bytes.Equal(file(t, a), file(t, b)) {
		t.Error("they differ")
	}
}

func TestReleaseImport_Refuses(t *testing.T) {
	from, to := newSite(t), newSite(t)
	from.publish("one", "1.4.0")
	dir := t.TempDir()
	exported := filepath.Join(dir, "exported.tar")
	from.ok("release", "export", "1.4.0", "--to", exported)
	for _, tt := range []struct {
		name string
		args []string
		says string
	}{
		{"another project", []string{exported, "--project", "till"}, "one of the project shop, not of till"},
		{"what is not there", []string{filepath.Join(dir, "none.tar")}, "there is no layout"},
		{"a key that is none", []string{exported, "--key", exported}, "public key"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := to.shell.run(append([]string{"release", "import"}, tt.args...)...); got.code != cli.ExitError || !strings.Contains(got.stderr, tt.says) {
				t.Errorf("exit %d: %s", got.code, got.stderr)
			}
		})
	}
	t.Run("a layout without what the release was published with", func(t *testing.T) {
		target := newSite(t)
		l, err := replicate.OpenLayout(t.Context(), exported, replicate.Limits{})
		fatal(t, err)
		defer l.Close()
		root, err := l.Resolve("1.4.0")
		fatal(t, err)
		g, err := replicate.Walk(t.Context(), l, root, replicate.Config{})
		fatal(t, err)
		bare := filepath.Join(dir, "bare.tar")
		_, err = replicate.Export(t.Context(), l, g.Without(func(n replicate.Node) bool { return n.ArtifactType == oci.ArtifactTypeCandidate }), nil, bare, replicate.Config{})
		fatal(t, err)
		if got := target.shell.run("release", "import", bare); got.code != cli.ExitError || !strings.Contains(got.stderr, "does not say what the release was published with") {
			t.Errorf("exit %d: %s", got.code, got.stderr)
		}
	})
	t.Run("who may not publish", func(t *testing.T) {
		made, err := to.server.Account(t.Context(), "vic", nil, []towpath.Role{towpath.RoleViewer}, time.Hour)
		fatal(t, err)
		to.shell.env["TOWPATH_TOKEN"] = made.Secret
		if got := to.shell.run("release", "import", exported); got.code != cli.ExitNotAllowed || !strings.Contains(got.stderr, "releaser") {
			t.Errorf("exit %d: %s", got.code, got.stderr)
		}
	})
}
