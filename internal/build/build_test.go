package build_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/towpath/towpath/internal/blob"
	"github.com/towpath/towpath/internal/build"
	"github.com/towpath/towpath/internal/oci"
	"github.com/towpath/towpath/internal/towpath"
	"github.com/towpath/towpath/internal/towpathtest/gittest"
)

// thorough writes all that a build can see of where and when it runs.
const thorough = `mkdir -p bin; umask > bin/run; chmod +x bin/run
date -u +%Y -d @$SOURCE_DATE_EPOCH >> bin/run; date +%Z >> bin/run; echo $LC_ALL ${SECRET-none} >> bin/run
ls .. >> bin/run; cat file >> bin/run; ln -s run bin/link`

func two() map[string]string {
	return map[string]string{"api": shell(thorough, "bin", "file"), "web": ""}
}

func TestBuild(t *testing.T) {
	r := repo(t, two(), nil)
	b := newBench(t)
	res := b.build(r.Dir, build.Request{})

	t.Run("makes a release that decodes, whose blobs are all stored", func(t *testing.T) {
		if res.Digest != towpath.DigestOf(res.Manifest) {
			t.Fatal("the digest is not the manifest's")
		}
		content, err := blob.ReadAll(t.Context(), b.blobs, res.ContentBlob.Digest, oci.MaxContent)
		if err != nil {
			t.Fatal(err)
		}
		m, c, err := oci.Decode(res.Manifest, content)
		if err != nil {
			t.Fatal(err)
		}
		if len(m.Layers) != 3 || c.Project != "shop" || len(c.Environments) != 2 {
			t.Fatalf("%+v", c)
		}
		for _, l := range m.Layers {
			if i, err := b.blobs.Stat(t.Context(), l.Digest); err != nil || i.Size != l.Size {
				t.Fatalf("layer %+v: %+v, %v", l, i, err)
			}
		}
	})
	t.Run("lets a build see its own path only, in a clean environment", func(t *testing.T) {
		got := fileOf(t, b, res, "api", "bin/run")
		if got != "0022\n1980\nUTC\nC none\napi\nof api" {
			t.Fatalf("%q", got)
		}
	})
	t.Run("renders each environment's settings, and only they differ", func(t *testing.T) {
		dev, _ := res.Content.Environment("dev")
		prod, _ := res.Content.Environment("prod")
		for i, same := range []bool{false, true} {
			if (dev.Components[i].Revision == prod.Components[i].Revision) != same {
				t.Fatalf("%s: %s and %s", dev.Components[i].Name, dev.Components[i].Spec, prod.Components[i].Spec)
			}
		}
		if len(dev.Rules.Components) > 0 {
			t.Fatal("the rules carry settings")
		}
	})
	t.Run("says what it did", func(t *testing.T) {
		if res.Files != 5 || res.CacheHits != 0 || len(res.Components) != 3 || res.Commit != r.Tip("HEAD") || res.Subject != "first" || len(res.Warnings) > 0 {
			t.Fatalf("%+v", res)
		}
	})
}

func fileOf(t *testing.T, b *bench, res *build.Result, component towpath.ComponentName, name string) string {
	t.Helper()
	c, ok := res.Content.Component(component)
	if !ok {
		t.Fatalf("no component %s", component)
	}
	layer, _, err := b.blobs.Open(t.Context(), c.Layer)
	if err != nil {
		t.Fatal(err)
	}
	defer layer.Close()
	dir := t.TempDir()
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	if _, err := oci.Extract(t.Context(), layer, root, oci.ExtractOptions{}); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

func TestBuild_sameTreeSameDigest(t *testing.T) {
	components := map[string]string{"api": shell(thorough, "bin", "file"), "web": ""}
	r := repo(t, components, map[string]string{"web/crlf": "a\r\nb\n", ".gitattributes": "* text=auto eol=crlf\n"})
	want := newBench(t).build(r.Dir, build.Request{Version: "1.0.0"})

	same := func(name string, change func(t *testing.T, b *bench) (dir string)) {
		t.Run(name, func(t *testing.T) {
			b := newBench(t) // with a directory, a cache and a blob store of its own
			got := b.build(change(t, b), build.Request{Version: "2.0.0"})
			if got.Digest != want.Digest {
				t.Fatalf("%s\n%s", got.Manifest, want.Manifest)
			}
			if bytes.Equal(got.Provenance, want.Provenance) {
				t.Fatal("the provenance is the same too")
			}
		})
	}
	same("in another directory", func(*testing.T, *bench) string { return r.Dir })
	same("from a clone with autocrlf", func(t *testing.T, _ *bench) string {
		return r.Clone(filepath.Join(t.TempDir(), "clone"), "--config=core.autocrlf=true").Dir
	})
	same("from a bare clone", func(t *testing.T, _ *bench) string { return r.CloneBare(filepath.Join(t.TempDir(), "bare")).Dir })
	same("with another umask", func(t *testing.T, _ *bench) string {
		old := syscall.Umask(0o077)
		t.Cleanup(func() { syscall.Umask(old) })
		return r.Dir
	})
	same("in another time zone, language and home, as another user, at another time", func(t *testing.T, b *bench) string {
		b.cfg.Environ = append(b.cfg.Environ, "TZ=Asia/Kathmandu", "LC_ALL=de_DE.UTF-8", "HOME=/nowhere", "USER=somebody", "SOURCE_DATE_EPOCH=1", "GOFLAGS=-race")
		b.now = b.now.AddDate(3, 1, 1)
		return r.Dir
	})
	same("from another commit with the same tree", func(t *testing.T, _ *bench) string {
		c := r.Clone(filepath.Join(t.TempDir(), "clone"))
		tree := c.Git("rev-parse", "HEAD^{tree}")
		c.Git("checkout", "--quiet", "--detach", string(c.CommitTree(gittest.Ben, tree, "no parent at all")))
		return c.Dir
	})
	same("built one by one, twice over", func(_ *testing.T, b *bench) string { b.cfg.Parallel = 1; return r.Dir })
}

func TestBuild_warnsOfWhatIsNotCommitted(t *testing.T) {
	r := repo(t, two(), nil)
	clean := newBench(t).build(r.Dir, build.Request{})
	r.WriteFile("api/file", "changed and not committed")
	r.WriteFile("new", "")
	dirty := newBench(t).build(r.Dir, build.Request{})
	if dirty.Digest != clean.Digest {
		t.Fatal("the work tree got into the release")
	}
	if len(dirty.Warnings) != 1 || !strings.Contains(dirty.Warnings[0], "api/file and others") {
		t.Fatalf("warnings %q", dirty.Warnings)
	}
	r.Branch("HEAD", "elsewhere")
	r.Commit("now it is")
	if res := newBench(t).build(r.Dir, build.Request{Ref: "elsewhere"}); len(res.Warnings) > 0 || res.Digest != clean.Digest {
		t.Fatalf("warnings %q", res.Warnings)
	}
}

func TestBuild_cache(t *testing.T) {
	r := repo(t, map[string]string{
		"api": "inputs: [shared]\n" + shell("cat ../shared/lib > out", "out"),
		"web": shell("cp file out", "out"),
	}, map[string]string{"shared/lib": "one"})
	b := newBench(t)
	first := b.build(r.Dir, build.Request{})

	hits := func(want int, what string) *build.Result {
		t.Helper()
		res := b.build(r.Dir, build.Request{})
		if res.CacheHits != want {
			t.Fatalf("%s: %d cache hits, want %d", what, res.CacheHits, want)
		}
		return res
	}
	if again := hits(3, "the same again"); again.Digest != first.Digest || again.Files != first.Files || again.Bytes != first.Bytes {
		t.Fatalf("%+v\n%+v", again, first)
	}
	r.CommitFile("shared/lib", "two")
	if changed := hits(2, "an input changed"); fileOf(t, b, changed, "api", "out") != "two" {
		t.Fatal("the change is not in the release")
	}
	r.CommitFile("web/file", "other")
	hits(2, "a file changed")
	r.CommitFile("unrelated", "other")
	hits(3, "something else changed")
	b.cfg.Environ = append(b.cfg.Environ, "GOTOOLCHAIN=go1.99")
	now := hits(1, "the toolchain changed")
	c, _ := now.Content.Component("web")
	if err := b.blobs.Delete(t.Context(), c.Layer); err != nil {
		t.Fatal(err)
	}
	if back := hits(2, "a layer is gone"); back.Digest != now.Digest {
		t.Fatal("it was built differently")
	}
	if _, err := b.blobs.Stat(t.Context(), c.Layer); err != nil {
		t.Fatal(err)
	}
}

// TestBuild_cache_modes: a file that is an input by itself is another one when only
// its mode is another.
func TestBuild_cache_modes(t *testing.T) {
	r := repo(t, map[string]string{"api": "inputs: [scripts/run]\n" + shell("cp -P ../scripts/run out; ls -l out | cut -c1-4 > mode", "out", "mode")},
		map[string]string{"scripts/run": "file"})
	b := newBench(t)
	mode := func(want string) {
		t.Helper()
		res, fresh := b.build(r.Dir, build.Request{}), newBench(t).build(r.Dir, build.Request{})
		if got := fileOf(t, b, res, "api", "mode"); got != want {
			t.Errorf("it was packed as %q, want %q", got, want)
		}
		if res.Digest != fresh.Digest {
			t.Errorf("the release that was made before is not that of the commit")
		}
	}
	mode("-rw-\n")
	r.WriteExecutable("scripts/run", "file")
	r.Commit("it can be run")
	mode("-rwx\n")
	r.Remove("scripts/run")
	r.Symlink("file", "scripts/run")
	r.Commit("it is a link")
	mode("lrwx\n")
}

func TestBuild_failure(t *testing.T) {
	t.Run("shows the last 20 lines of the command", func(t *testing.T) {
		r := repo(t, map[string]string{"api": shell("for i in $(seq 1 50); do echo line $i; done; printf last >&2; exit 7")}, nil)
		e := newBench(t).refused(r.Dir, build.Request{}, towpath.KindInvalid, `component "api" failed with status 7`)
		lines := strings.Split(e.Fields["log"], "\n")
		if len(lines) != build.LogLines || lines[0] != "line 32" || lines[19] != "last" {
			t.Fatalf("%q", lines)
		}
	})
	t.Run("names a tool that is not there", func(t *testing.T) {
		r := repo(t, map[string]string{"api": "build: {command: [no-such-tool, x]}"}, nil)
		newBench(t).refused(r.Dir, build.Request{}, towpath.KindInvalid, `"no-such-tool" of component "api" can't be run`)
	})
	t.Run("names outputs that were not made", func(t *testing.T) {
		r := repo(t, map[string]string{"api": shell("touch one", "one", "two", "three")}, nil)
		newBench(t).refused(r.Dir, build.Request{}, towpath.KindInvalid, `output ["two" "three"]`)
	})
	t.Run("does not let a build see what is not among its inputs", func(t *testing.T) {
		r := repo(t, map[string]string{"api": shell("cat ../web/file"), "web": ""}, nil)
		newBench(t).refused(r.Dir, build.Request{}, towpath.KindInvalid, "failed")
	})
	t.Run("refuses what a release can't hold", func(t *testing.T) {
		r := repo(t, map[string]string{"api": shell("ln -s /etc/passwd leak")}, nil)
		newBench(t).refused(r.Dir, build.Request{}, towpath.KindInvalid, `"leak" has an absolute target`)
	})
	t.Run("stops a build that takes too long", func(t *testing.T) {
		r := repo(t, map[string]string{"api": shell("echo begun; sleep 1000")}, nil)
		b := newBench(t)
		b.cfg.Limits.Command = 300 * time.Millisecond
		e := b.refused(r.Dir, build.Request{}, towpath.KindExhausted, "took longer than 300ms")
		if e.Fields["log"] != "begun" {
			t.Fatalf("%q", e.Fields["log"])
		}
	})
	t.Run("says that there is no project file", func(t *testing.T) {
		r := gittest.New(t)
		r.CommitFile("file", "")
		newBench(t).refused(r.Dir, build.Request{}, towpath.KindInvalid, "has no towpath.yaml")
	})
	t.Run("passes on what is wrong with the project file", func(t *testing.T) {
		r := gittest.New(t)
		r.CommitFile("towpath.yaml", "version: 2")
		newBench(t).refused(r.Dir, build.Request{}, towpath.KindInvalid, "towpath.yaml")
	})
	t.Run("names the path that a component lacks", func(t *testing.T) {
		r := repo(t, map[string]string{"api": "inputs: [missing]"}, nil)
		newBench(t).refused(r.Dir, build.Request{}, towpath.KindNotFound, `"missing"`)
	})
}
