package build_test

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/towpath/towpath/internal/build"
	"github.com/towpath/towpath/internal/towpathtest/gittest"
	"github.com/towpath/towpath/internal/towpathtest/project"
)

func TestBuild_shop(t *testing.T) {
	p := project.Shop(t)
	b := newBench(t)
	b.cfg.Environ = os.Environ()
	goEnv := func(name string) string {
		out, err := exec.Command("go", "env", name).Output()
		if err != nil {
			t.Fatal(err)
		}
		return strings.TrimSpace(string(out))
	}
	b.cfg.Environ = append(b.cfg.Environ, "GOCACHE="+goEnv("GOCACHE"), "GOPROXY=off")
	first := b.build(p.Dir, build.Request{Ref: "main", Check: true})

	t.Run("is built by the real Go, twice the same", func(t *testing.T) {
		if !first.Checked || !strings.HasPrefix(fileOf(t, b, first, "api", "bin/api"), "\x7fELF") {
			t.Fatalf("%+v", first.Components)
		}
		if fileOf(t, b, first, "web", "VERSION") != "1.0.0\n" {
			t.Fatal("the version file is another")
		}
	})
	t.Run("builds only what changed", func(t *testing.T) {
		commit := p.Change(gittest.Ben, "1.1.0", "web")
		second := b.build(p.Dir, build.Request{Ref: string(commit)})
		if second.CacheHits != 1 || second.Digest == first.Digest {
			t.Fatalf("%d hits", second.CacheHits)
		}
		for i, changed := range []bool{false, true} {
			if (first.Components[i].Layer != second.Components[i].Layer) != changed {
				t.Fatalf("%+v\n%+v", first.Components, second.Components)
			}
		}
	})
}

func TestBuild_sample(t *testing.T) {
	p := project.Sample(t)
	res := newBench(t).build(p.Dir, build.Request{})
	if len(res.Content.Components) != 2 || len(res.Content.Environments) != 3 || res.Bytes > 20_000 {
		t.Fatalf("%+v", res)
	}
}
