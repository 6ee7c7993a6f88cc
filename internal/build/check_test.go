package build_test

import (
	"strings"
	"testing"

	"github.com/towpath/towpath/internal/build"
	"github.com/towpath/towpath/internal/towpath"
)

func TestBuild_Check(t *testing.T) {
	t.Run("accepts a build that repeats, and uses no cache", func(t *testing.T) {
		r := repo(t, map[string]string{"api": shell("mkdir out; tr a-z A-Z < file > out/file", "out"), "web": ""}, nil)
		b := newBench(t)
		plain := b.build(r.Dir, build.Request{})
		checked := b.build(r.Dir, build.Request{Check: true})
		if !checked.Checked || plain.Checked || checked.CacheHits != 0 || checked.Digest != plain.Digest {
			t.Fatalf("%+v", checked)
		}
	})
	for name, script := range map[string]string{
		"the time":          "date +%s > out/when",
		"chance":            "head -c 16 /dev/urandom > out/when",
		"the directory":     "pwd > out/when",
		"TMPDIR":            "echo $TMPDIR > out/when",
		"a file's presence": "touch out/when$(date +%N)",
	} {
		t.Run("catches "+name+" in what a build writes", func(t *testing.T) {
			r := repo(t, map[string]string{"api": shell("mkdir out; touch out/same; "+script, "out")}, nil)
			e := newBench(t).refused(r.Dir, build.Request{Check: true}, towpath.KindInvalid, `component "api" is not built the same twice: out/when`)
			if !strings.HasPrefix(e.Fields["files"], "out/when") || e.Hint == "" {
				t.Fatalf("%+v", e)
			}
		})
	}
}
