package build_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/towpath/towpath/internal/build"
	"github.com/towpath/towpath/internal/towpathtest/gittest"
)

// large is a project of ten components with 2,000 files and 50 MB in all, as
// compressible as sources and binaries together are.
func large(b *testing.B) *gittest.Repo {
	b.Helper()
	const components, files, size = 10, 200, 25 << 10
	chance := rand.New(rand.NewPCG(1, 2))
	words := make([]string, 4000)
	for i := range words {
		words[i] = fmt.Sprintf("%x ", chance.Uint64N(1<<(8+chance.UintN(40))))
	}
	bodies := map[string]string{}
	r := gittest.New(b)
	for c := range components {
		name := fmt.Sprintf("part%d", c)
		bodies[name] = shell("ls | wc -l > count")
		for f := range files {
			var text strings.Builder
			for text.Len() < size {
				text.WriteString(words[chance.IntN(len(words))])
			}
			r.WriteFile(fmt.Sprintf("%s/dir%d/file%d", name, f%10, f), text.String())
		}
	}
	r.WriteFile("towpath.yaml", projectYAML(bodies))
	r.WriteFile("policies/rule", "be good")
	r.Commit("large")
	return r
}

// tarGzip is how long tar | gzip takes on the project's work tree.
func tarGzip(b *testing.B, dir string) time.Duration {
	b.Helper()
	began := time.Now()
	cmd := exec.Command("sh", "-c", "tar -cf - --exclude=.git . | gzip > "+filepath.Join(b.TempDir(), "tree.tar.gz"))
	cmd.Dir, cmd.Stderr = dir, os.Stderr
	if err := cmd.Run(); err != nil {
		b.Fatal(err)
	}
	return time.Since(began)
}

func BenchmarkBuild(b *testing.B) {
	r := large(b)
	yardstick := tarGzip(b, r.Dir)
	var full time.Duration

	b.Run("everything", func(b *testing.B) {
		var all time.Duration
		for range b.N {
			x := newBench(b)
			began := time.Now()
			res := x.build(r.Dir, build.Request{})
			all += time.Since(began)
			if res.CacheHits != 0 || res.Files < 2000 || res.Bytes < 50_000_000 {
				b.Fatalf("%d hits, %d files, %d bytes", res.CacheHits, res.Files, res.Bytes)
			}
		}
		full = all / time.Duration(b.N)
		b.ReportMetric(full.Seconds(), "s/build")
		b.ReportMetric(yardstick.Seconds(), "s/tar|gzip")
		b.ReportMetric(full.Seconds()/yardstick.Seconds(), "ratio(goal≤3)")
	})
	b.Run("one changed component of ten", func(b *testing.B) {
		x := newBench(b)
		x.cfg.Now = time.Now
		x.build(r.Dir, build.Request{})
		var all, component time.Duration
		for i := range b.N {
			r.CommitFile("part3/dir0/file0", fmt.Sprint("changed ", i, b.N))
			began := time.Now()
			res := x.build(r.Dir, build.Request{})
			all += time.Since(began)
			if res.CacheHits != 10 { // nine and the policies
				b.Fatalf("%d hits", res.CacheHits)
			}
			component += res.Components[3].Duration
		}
		mean := (all / time.Duration(b.N)).Seconds()
		b.ReportMetric(mean, "s/build")
		b.ReportMetric((mean-(component/time.Duration(b.N)).Seconds())/full.Seconds(), "over/full(goal≤0.2)")
	})
}
