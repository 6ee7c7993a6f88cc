package build_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/Masterminds/semver/v3"

	"github.com/towpath/towpath/internal/build"
	"github.com/towpath/towpath/internal/towpath"
)

func TestBuild_version(t *testing.T) {
	r := repo(t, map[string]string{"api": ""}, nil)
	b := newBench(t)
	version := func(want string) {
		t.Helper()
		want = strings.ReplaceAll(want, "HASH", string(r.Tip("HEAD"))[:7])
		got := b.build(r.Dir, build.Request{}).Version
		if got != want {
			t.Fatalf("version %s, want %s", got, want)
		}
		if _, err := semver.StrictNewVersion(got); err != nil {
			t.Fatal(err)
		}
	}
	version("0.0.0-dev.1+gHASH")
	r.Tag("v1.4.2", "HEAD")
	version("1.4.2")
	r.CommitFile("api/file", "x")
	r.CommitFile("api/file", "y")
	version("1.4.3-dev.2+gHASH")
	r.Tag("not-a-version", "HEAD")
	version("1.4.3-dev.2+gHASH")
	r.Tag("v2.0.0-rc.1", "HEAD")
	version("2.0.0-rc.1")
	r.CommitFile("api/file", "z")
	version("2.0.0-rc.1.dev.1+gHASH")
	if got := b.build(r.Dir, build.Request{Version: "3.0.0+build.7"}).Version; got != "3.0.0+build.7" {
		t.Fatal(got)
	}
}

func TestCheckVersion(t *testing.T) {
	for _, tt := range []struct{ version, naming, says string }{
		{"1.2.3", "", ""},
		{"1.2.3-rc.1+build.7", "", ""},
		{"1.2.3", `^\d+\.\d+\.\d+$`, ""},
		{"1.2.3-rc.1", `^\d+\.\d+\.\d+$`, "does not follow the project's naming rule"},
		{"v1.2.3", "", "leave out the v: 1.2.3"},
		{"1.2", "", "not a semantic version"},
		{"01.2.3", "", "not a semantic version"},
		{"latest", "", "not a semantic version"},
		{"", "", "not a semantic version"},
		{"1.2.3", "(", "not a regular expression"},
	} {
		t.Run(fmt.Sprintf("%q under %q", tt.version, tt.naming), func(t *testing.T) {
			err := build.CheckVersion(tt.version, tt.naming)
			if tt.says == "" {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			if e := new(towpath.Error); !errors.As(err, &e) || e.Kind != towpath.KindInvalid || !strings.Contains(e.Message+e.Hint, tt.says) {
				t.Fatal(err)
			}
		})
	}
}
