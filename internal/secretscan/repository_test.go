package secretscan_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/towpath/towpath/internal/secretscan"
)

// Nothing in this repository has the form of a credential: tests make theirs up
// while they run. So whoever scans it, with whatever, need not ask.
func TestRepository_PassesItsOwnScan(t *testing.T) {
	root := filepath.Join("..", "..")
	list := exec.Command("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	list.Dir = root
	out, err := list.Output()
	if err != nil {
		t.Fatal(err)
	}
	names := strings.Split(strings.TrimRight(string(out), "\x00"), "\x00")
	if len(names) < 100 {
		t.Fatalf("git lists only %d files", len(names))
	}
	s := secretscan.New()
	for _, name := range names {
		f, err := os.Open(filepath.Join(root, filepath.FromSlash(name)))
		if os.IsNotExist(err) {
			continue // deleted, and not yet committed
		} else if err != nil {
			t.Fatal(err)
		}
		if info, err := f.Stat(); err == nil && info.Mode().IsRegular() {
			err = s.Scan(t.Context(), name, f, func(f secretscan.Finding) { t.Error(f) })
			if err != nil {
				t.Fatal(err)
			}
		}
		_ = f.Close()
	}
}

func TestRules_StandInTheGuide(t *testing.T) {
	guide, err := os.ReadFile(filepath.Join("..", "..", "docs", "guides", "secrets.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range secretscan.Rules() {
		if !strings.Contains(string(guide), "`"+r.ID+"`") {
			t.Errorf("docs/guides/secrets.md does not name %s", r.ID)
		}
	}
}

// The version covers every file of the package that is not a test.
func TestVersion_CoversTheSource(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	src, err := os.ReadFile("rule.go")
	if err != nil {
		t.Fatal(err)
	}
	directive, _, _ := strings.Cut(string(src[strings.Index(string(src), "//go:embed"):]), "\n")
	for _, f := range files {
		if !strings.HasSuffix(f, "_test.go") && f != "doc.go" && !strings.Contains(directive+" ", " "+f+" ") {
			t.Errorf("%s changes what is found, and not the version", f)
		}
	}
	if v := secretscan.Version(); len(v) != 16 || v != secretscan.Version() {
		t.Errorf("the version %q", v)
	}
}
