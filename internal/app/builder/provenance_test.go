package builder_test

import (
	"encoding/json"
	"testing"

	"github.com/towpath/towpath/internal/app/builder"
	"github.com/towpath/towpath/internal/cli"
	"github.com/towpath/towpath/internal/evidence"
	"github.com/towpath/towpath/internal/towpath"
)

// TestBuild_SaysWhoBuiltFromWhere: what the rules of an environment may ask for
// can be said by whoever builds.
func TestBuild_SaysWhoBuiltFromWhere(t *testing.T) {
	repo := project(t)
	says := func(t *testing.T, r cli.BuildRequest) (facts towpath.ProvenanceFacts, buildID string) {
		t.Helper()
		r.Dir = repo.Dir
		built, err := builder.Build(t.Context(), r, nil)
		if err != nil {
			t.Fatal(err)
		}
		var statement struct{ Predicate json.RawMessage }
		var run struct {
			RunDetails struct{ Metadata struct{ InvocationID string } }
		}
		if err := json.Unmarshal(built.Provenance, &statement); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(statement.Predicate, &run); err != nil {
			t.Fatal(err)
		}
		read, err := evidence.ReadProvenance(statement.Predicate)
		if err != nil {
			t.Fatal(err)
		}
		return *read, run.RunDetails.Metadata.InvocationID
	}
	t.Run("the folder, where git knows no origin", func(t *testing.T) {
		facts, id := says(t, cli.BuildRequest{})
		if facts.Builder != "https://towpath.dev/builder/v1" || facts.Repository != repo.Dir || id == "" {
			t.Errorf("%+v, build %s", facts, id)
		}
	})
	repo.Git("remote", "add", "origin", "https://ana:secret@git.example.com/shop")
	t.Run("git's origin, without a password", func(t *testing.T) {
		if facts, _ := says(t, cli.BuildRequest{}); facts.Repository != "https://git.example.com/shop" {
			t.Errorf("%+v", facts)
		}
	})
	t.Run("what it is told", func(t *testing.T) {
		facts, id := says(t, cli.BuildRequest{
			BuilderID: "https://ci.example.com/towpath", BuildID: "https://ci.example.com/builds/7", Repository: "https://git.example.com/mirror",
		})
		if facts.Builder != "https://ci.example.com/towpath" || facts.Repository != "https://git.example.com/mirror" || id != "https://ci.example.com/builds/7" {
			t.Errorf("%+v, build %s", facts, id)
		}
	})
	t.Run("not a builder that is no URI", func(t *testing.T) {
		_, err := builder.Build(t.Context(), cli.BuildRequest{Dir: repo.Dir, BuilderID: "our CI"}, nil)
		if towpath.KindOf(err) != towpath.KindInvalid {
			t.Errorf("%v", err)
		}
	})
}
