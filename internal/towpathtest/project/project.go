package project

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/towpath/towpath/examples"
	"github.com/towpath/towpath/internal/towpath"
	"github.com/towpath/towpath/internal/towpathtest/gittest"
)

// T is what the package needs of a test.
type T interface {
	gittest.T
	TempDir() string
}

// Project is a repository with the shop in it: components api and web,
// environments dev, staging and prod on branches dev, staging and main. The
// work tree is detached, so that every branch may be moved.
type Project struct {
	*gittest.Repo
	t T
}

// Behaviours of a component; see examples/shop/api/behaviour.
const (
	Crash      = "crash"
	SlowStart  = "slow-start" // content: how long, as "500ms"
	Unhealthy  = "unhealthy"
	Fail       = "fail"
	IgnoreTerm = "ignore-term"
)

// Shop is the example project as a user gets it: its builds run the real Go.
func Shop(t T) *Project {
	t.Helper()
	return newProject(t, "")
}

// Sample is the shop without a build: its components run programs that were
// built once for this version of their sources, and its releases are tiny.
func Sample(t T) *Project {
	t.Helper()
	return newProject(t, Programs(t))
}

func newProject(t T, programs string) *Project {
	t.Helper()
	p := &Project{Repo: gittest.New(t), t: t}
	if err := examples.Write(examples.Shop, p.Dir); err != nil {
		t.Fatalf("write the sample project: %v", err)
	}
	if programs != "" {
		for _, sources := range []string{"go.mod", "server", "api/main.go", "web/main.go"} {
			p.Remove(sources)
		}
		p.WriteFile("towpath.yaml", sampleYAML(programs))
	}
	p.Commit("the first shop")
	p.Branch("main", "dev", "staging")
	p.Detach()
	return p
}

// Behave makes a component misbehave from the next commit on; an empty content
// is enough for all but SlowStart.
func (p *Project) Behave(component, behaviour, content string) {
	p.t.Helper()
	p.WriteFile(filepath.Join(component, "behaviour", behaviour), content)
}

// Cure takes every misbehaviour of a component back.
func (p *Project) Cure(component string) {
	p.t.Helper()
	entries, err := os.ReadDir(filepath.Join(p.Dir, component, "behaviour"))
	if err != nil {
		p.t.Fatalf("read the behaviour of %s: %v", component, err)
	}
	for _, e := range entries {
		if e.Name() != "README.md" {
			p.Remove(filepath.Join(component, "behaviour", e.Name()))
		}
	}
}

// Change gives components a version to show and commits that as a person on
// the detached work tree. Without components it is both.
func (p *Project) Change(by gittest.Person, version string, components ...string) towpath.CommitID {
	p.t.Helper()
	if len(components) == 0 {
		components = []string{"api", "web"}
	}
	for _, c := range components {
		p.WriteFile(filepath.Join(c, "VERSION"), version+"\n")
	}
	return p.CommitAs(by, fmt.Sprintf("%s %s", strings.Join(components, " and "), version))
}

// Edit replaces a text that a file must have, without committing.
func (p *Project) Edit(name, old, replacement string) {
	p.t.Helper()
	b, err := os.ReadFile(filepath.Join(p.Dir, name))
	if err != nil || !strings.Contains(string(b), old) {
		p.t.Fatalf("%s has no %q (%v)", name, old, err)
	}
	p.WriteFile(name, strings.Replace(string(b), old, replacement, 1))
}
