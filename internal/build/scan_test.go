package build_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/towpath/towpath/internal/build"
	"github.com/towpath/towpath/internal/towpath"
	"github.com/towpath/towpath/internal/towpathtest/gittest"
)

// leak is a GitHub token that is nobody's; it is put together here so that the
// repository holds none.
func leak(n int) string {
	b := []byte("gh" + "p_")
	for i := range 36 {
		b = append(b, "Xa7Qm2Lr9Tz4Wc8Kd1Bv6Ny3"[(i*7+n)%24])
	}
	return string(b)
}

func pemKey() string {
	return "-----BEGIN PRIVATE" + " KEY-----\n" + leak(5)[4:] + leak(9)[4:] + "\n-----END PRIVATE" + " KEY-----\n"
}

// silent fails when any part of a secret stands in what was said.
func silent(t *testing.T, secret string, said ...any) {
	t.Helper()
	for _, x := range said {
		text := fmt.Sprintf("%+v", x)
		for i := 4; i+10 <= len(secret); i++ {
			if strings.Contains(text, secret[i:i+10]) {
				t.Fatalf("a part of the value is said: %s", text)
			}
		}
	}
}

// with adds to a repository's towpath.yaml, and commits.
func with(t *testing.T, r *gittest.Repo, yaml string) {
	t.Helper()
	edited(t, r, func(src string) string { return src + yaml })
}

func edited(t *testing.T, r *gittest.Repo, edit func(string) string) {
	t.Helper()
	src, err := os.ReadFile(filepath.Join(r.Dir, "towpath.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	r.WriteFile("towpath.yaml", edit(string(src)))
	r.Commit("edited")
}

func TestBuild_RefusesCredentials(t *testing.T) {
	secret := leak(0)
	escaped := `"` + strings.Replace(secret, "p_", `\x70_`, 1) + `"` // in the file it has another form
	packs := shell("mkdir -p bin; printf 'one\\ntwo %s' \"$(cat part1)$(cat part2)\" > bin/run", "bin")
	for _, c := range []struct {
		name       string
		components map[string]string
		files      map[string]string
		edit       func(string) string // of towpath.yaml
		says       string
	}{
		{"in a component's file", map[string]string{"api": ""}, map[string]string{"api/conf/a.env": "A=1\nB=" + secret + "\n"}, nil,
			"api/conf/a.env:2: github-token: a GitHub token"},
		{"in a folder", map[string]string{"api": ""}, map[string]string{"policies/p.rego": "# " + secret}, nil, "policies/p.rego:1: github-token"},
		{"in what a build makes", map[string]string{"api": packs}, map[string]string{"api/part1": secret[:9], "api/part2": secret[9:]}, nil, "api/bin/run:2: github-token"},
		{"in a binary", map[string]string{"api": ""}, map[string]string{"api/run": "\x7fELF\x00\x00" + secret + "more"}, nil, "api/run (byte 6): github-token"},
		{"in the name of a file", map[string]string{"api": ""}, map[string]string{"api/" + secret: "and in it " + leak(7)}, nil, "api (the name of entry 2 of the layer): github-token"},
		{"in the target of a link", map[string]string{"api": shell("mkdir d; ln -s \"$(cat part1)$(cat part2)\" d/link", "d")},
			map[string]string{"api/part1": secret[:9], "api/part2": secret[9:]}, nil, "api (the name of entry 2 of the layer): github-token"},
		{"in a setting", map[string]string{"api": "drift: report # " + secret}, nil, nil, "towpath.yaml:9: github-token"},
		{"in a rendered configuration only", map[string]string{"api": ""}, nil,
			func(src string) string {
				return src + "objectives: [{name: fast, kind: threshold, below: 1, query: " + escaped + "}]\n"
			},
			"towpath.yaml, rendered at objectives[fast].query: github-token"},
		{"in the key of a map", map[string]string{"api": ""}, nil,
			func(src string) string { return strings.Replace(src, "NAME", escaped, 1) },
			"towpath.yaml, rendered at environments[dev].components[api].spec.env.…: github-token"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := repo(t, c.components, c.files)
			if c.edit != nil {
				edited(t, r, c.edit)
			}
			b := newBench(t)
			var log bytes.Buffer
			b.cfg.Logger = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
			var events []build.Event
			e := b.refused(r.Dir, build.Request{Progress: func(e build.Event) {
				if e.Err != nil {
					events = append(events, e)
				}
			}}, towpath.KindInvalid, c.says)
			if !strings.Contains(e.Hint, "secrets: {allow:") || !strings.Contains(e.Fields["findings"], c.says) {
				t.Fatalf("hint %q, fields %v", e.Hint, e.Fields)
			}
			silent(t, secret, e.Error(), e.Hint, e.Fields, log.String(), events)
		})
	}
}

func TestBuild_NamesTwentyCredentialsAndCountsTheRest(t *testing.T) {
	r := repo(t, map[string]string{"api": "", "web": ""}, map[string]string{
		"api/a": strings.Repeat(leak(1)+"\n", 15), "web/a": strings.Repeat(leak(2)+"\n", 15),
	})
	e := newBench(t).refused(r.Dir, build.Request{}, towpath.KindInvalid, "30 credentials:\napi/a:1:")
	if lines := strings.Split(e.Message, "\n"); len(lines) != 22 || !strings.HasPrefix(lines[20], "web/a:5:") || lines[21] != "and 10 more" {
		t.Fatalf("%s", e.Message)
	}
}

// One in towpath.yaml hides none of the others, and is named once, not for every
// environment that it is rendered into.
func TestBuild_NamesCredentialsOfTheProjectFileWithTheRest(t *testing.T) {
	r := repo(t, map[string]string{"api": ""}, map[string]string{"api/a": leak(1)})
	edited(t, r, func(src string) string {
		return src + "objectives: [{name: fast, kind: threshold, below: 1, query: " + leak(2) + "}]\n"
	})
	e := newBench(t).refused(r.Dir, build.Request{}, towpath.KindInvalid, "2 credentials:\ntowpath.yaml:")
	if lines := strings.Split(e.Message, "\n"); len(lines) != 3 || !strings.HasPrefix(lines[2], "api/a:1: github-token") {
		t.Fatalf("%s", e.Message)
	}
}

// A layer from the cache is judged as one that was just built.
func TestBuild_ScansWhatIsCached(t *testing.T) {
	allow := "secrets: {allow: [{path: api/**, reason: for tests, until: 2026-06-30}]}\n"
	r := repo(t, map[string]string{"api": ""}, map[string]string{"api/key.pem": pemKey()})
	with(t, r, allow)
	b := newBench(t)
	b.build(r.Dir, build.Request{})
	res := b.build(r.Dir, build.Request{})
	if res.CacheHits != 2 || len(res.Warnings) != 1 {
		t.Fatalf("%d cache hits, warnings %v", res.CacheHits, res.Warnings)
	}
	b.now = time.Date(2026, 7, 1, 0, 0, 0, 0, time.UTC)
	b.refused(r.Dir, build.Request{}, towpath.KindInvalid, "api/key.pem:1: private-key: a private key that is not encrypted (was allowed until 2026-06-30)")

	t.Run("and is read once only when it is clean", func(t *testing.T) {
		r := repo(t, map[string]string{"api": ""}, nil)
		b := newBench(t)
		scans := func() (n int) {
			b.build(r.Dir, build.Request{Progress: func(e build.Event) {
				if e.Step == build.StepScan && e.Done {
					n++
				}
			}})
			return n
		}
		if first, second := scans(), scans(); first != 2 || second != 0 {
			t.Fatalf("%d scans, then %d", first, second)
		}
	})
}

func TestBuild_AllowsCredentialsWithAReason(t *testing.T) {
	files := map[string]string{"api/testdata/key.pem": "\n" + pemKey(), "api/testdata/two": leak(1) + " " + leak(2) + "\n" + leak(3)}
	allowing := func(entries string) string { return "secrets: {allow: [" + entries + "]}\n" }
	try := func(t *testing.T, entries string) (*bench, string) {
		r := repo(t, map[string]string{"api": ""}, files)
		with(t, r, allowing(entries))
		return newBench(t), r.Dir
	}
	t.Run("and says and records it, without the value", func(t *testing.T) {
		b, dir := try(t, "{path: api/testdata/**, reason: made for tests, until: 2027-01-31}, {path: web/**, reason: gone}")
		res := b.build(dir, build.Request{})
		want := []string{
			"towpath.yaml allows what looks like a credential in api/testdata/** (made for tests): lines 3, files 2",
			"towpath.yaml allows what looks like a credential in web/** (gone): nothing of the kind is there; take the entry out",
		}
		if diff := cmp.Diff(want, res.Warnings); diff != "" {
			t.Fatal(diff)
		}
		var statement struct {
			Predicate struct {
				RunDetails struct {
					Byproducts []struct {
						Name        string
						Digest      map[string]string
						Annotations map[string]any
					}
				}
			}
		}
		if err := json.Unmarshal(res.Provenance, &statement); err != nil {
			t.Fatal(err)
		}
		scan := statement.Predicate.RunDetails.Byproducts[0]
		allowed := []any{
			map[string]any{"path": "api/testdata/key.pem", "rule": "private-key", "reason": "made for tests", "until": "2027-01-31", "lines": 1.0},
			map[string]any{"path": "api/testdata/two", "rule": "github-token", "reason": "made for tests", "until": "2027-01-31", "lines": 2.0},
		}
		if scan.Name != build.ScanByproduct || len(scan.Digest["sha256"]) != 64 || scan.Annotations["rules"] == "" {
			t.Fatalf("%+v", scan)
		}
		if diff := cmp.Diff(allowed, scan.Annotations["allowed"]); diff != "" {
			t.Fatal(diff)
		}
		for n := range 4 {
			silent(t, leak(n), string(res.Provenance), string(res.SBOM), res.Warnings)
		}
		silent(t, leak(5), string(res.Provenance), string(res.SBOM), res.Warnings)
	})
	t.Run("of one rule only, when the entry says so", func(t *testing.T) {
		b, dir := try(t, "{path: api/testdata/**, rule: private-key, reason: made for tests}")
		e := b.refused(dir, build.Request{}, towpath.KindInvalid, "api/testdata/two:1: github-token")
		if strings.Contains(e.Message, "private-key") {
			t.Fatalf("%s", e.Message)
		}
	})
	t.Run("not after its last day", func(t *testing.T) {
		b, dir := try(t, "{path: api/testdata/**, reason: made for tests, until: 2026-03-03}")
		b.refused(dir, build.Request{}, towpath.KindInvalid, "api/testdata/key.pem:2: private-key: a private key that is not encrypted (was allowed until 2026-03-03)")
	})
	t.Run("not elsewhere", func(t *testing.T) {
		b, dir := try(t, "{path: api/*, reason: made for tests}")
		b.refused(dir, build.Request{}, towpath.KindInvalid, "4 credentials")
	})
	t.Run("not without a reason", func(t *testing.T) {
		b, dir := try(t, "{path: api/testdata/**}")
		b.refused(dir, build.Request{}, towpath.KindInvalid, "reason is missing")
	})
	t.Run("and the release is the same as without a list", func(t *testing.T) {
		r := repo(t, map[string]string{"api": ""}, nil)
		before := newBench(t).build(r.Dir, build.Request{})
		with(t, r, allowing("{path: web/**, reason: gone}"))
		if after := newBench(t).build(r.Dir, build.Request{}); after.Digest != before.Digest {
			t.Fatal("the allow list is in the release's content")
		}
	})
}

// What a builder remembers of a refused release holds no credential beside the
// blobs, which are what the commit itself has.
func TestBuild_RemembersNoCredential(t *testing.T) {
	r := repo(t, map[string]string{"api": ""}, map[string]string{"api/a": leak(0)})
	b := newBench(t)
	b.refused(r.Dir, build.Request{}, towpath.KindInvalid, "api/a:1")
	err := filepath.WalkDir(b.cfg.CacheDir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		silent(t, leak(0), path, string(content))
		return err
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
}
