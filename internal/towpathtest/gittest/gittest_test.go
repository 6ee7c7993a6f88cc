package gittest_test

import (
	"path/filepath"
	"testing"

	"github.com/towpath/towpath/internal/towpath"
	"github.com/towpath/towpath/internal/towpathtest/gittest"
)

func build(t *testing.T) (*gittest.Repo, towpath.CommitID) {
	g := gittest.New(t)
	g.WriteFile("a.txt", "one\n")
	g.Symlink("a.txt", "link")
	g.Commit("first")
	g.Branch("main", "dev")
	g.Checkout("dev")
	g.WriteExecutable("run", "#!/bin/sh\n")
	g.CommitAs(gittest.Ben, "second")
	g.Checkout("main")
	return g, g.Merge("dev")
}

func TestRepo_TheSameStepsGiveTheSameIDs(t *testing.T) {
	g, one := build(t)
	if _, two := build(t); one != two {
		t.Errorf("got %s, then %s", one, two)
	}
	if bare := g.CloneBare(filepath.Join(t.TempDir(), "bare.git")); bare.Tip("main") != one {
		t.Errorf("the bare clone is at %s", bare.Tip("main"))
	}
}
