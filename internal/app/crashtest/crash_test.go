package crashtest_test

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/towpath/towpath/internal/towpathtest/pgtest"
)

// TestServer_Crash kills the server at every step that its code names, each
// time that a release passes it on its way to prod and back. Whatever the
// moment: what was under way goes on within seconds of a restart, no operation
// takes effect twice, nothing that was acknowledged is lost, no request to what
// runs is lost, the refs are right and the ledger verifies.
func TestServer_Crash(t *testing.T) {
	for _, engine := range []struct {
		name  string
		new   func(t *testing.T) string
		spare bool
		hits  func(point string, n int) bool
	}{
		{"on SQLite", func(*testing.T) string { return "" }, false, sqliteHits},
		{"on PostgreSQL", func(t *testing.T) string { return pgtest.New(t) }, false, postgresHits},
		{"of two on PostgreSQL", func(t *testing.T) string { return pgtest.New(t) }, true, postgresHits},
	} {
		t.Run(engine.name, func(t *testing.T) {
			for _, point := range namedSteps(t) {
				t.Run("at "+point, func(t *testing.T) {
					t.Parallel()
					for n := 1; n <= maxHits; n++ {
						if !engine.hits(point, n) {
							continue
						}
						reached := false
						passed := t.Run(fmt.Sprint("the time ", n), func(t *testing.T) { // whose world ends with it
							reached, _ = story(t, engine.new(t), fmt.Sprintf("%s:%d", point, n), engine.spare)
							if !reached && n == 1 && !engine.spare { // of two, the other one may have passed it
								t.Errorf("nothing passes %s", point)
							}
						})
						if !passed || !reached {
							return
						}
					}
				})
			}
		})
	}
}

// maxHits bounds how often a step may be passed.
const maxHits = 400

// namedSteps are the failpoints in the sources, but for those of the agent's
// side, which are in a process of their own, those of the registry, which is
// killed in internal/http/ocidist, of the router, which is in its package, and of
// rollouts, which a canary passes.
func namedSteps(t *testing.T) []string {
	t.Helper()
	hit := regexp.MustCompile(`failpoint\.Hit\("([^"]+)"\)`)
	var out []string
	err := filepath.WalkDir("../..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		b, err := os.ReadFile(path)
		for _, m := range hit.FindAllStringSubmatch(string(b), -1) {
			if side, _, _ := strings.Cut(m[1], "."); !slices.Contains([]string{"agent", "run", "registry", "router", "rollout"}, side) {
				out = append(out, m[1])
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(out)
	out = slices.Compact(out)
	if len(out) < 15 {
		t.Fatalf("found only the steps %q", out)
	}
	return out
}
