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
