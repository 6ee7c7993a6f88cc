package build_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	provenance "github.com/in-toto/attestation/go/predicates/provenance/v1"
	intoto "github.com/in-toto/attestation/go/v1"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/towpath/towpath/internal/build"
	"github.com/towpath/towpath/internal/towpath"
)

func TestBuild_provenance(t *testing.T) {
	locked := "sha256:" + strings.Repeat("ab", 32)
	r := repo(t, map[string]string{"api": ""}, map[string]string{"towpath.lock": "version: 1\nentries:\n  - {name: 'example.com/base:1', digest: '" + locked + "'}\n"})
	req := build.Request{Ref: "main", Version: "1.0.0", Repository: "https://ana:secret@example.com/shop.git"}
	res := newBench(t).build(r.Dir, req)

	var statement intoto.Statement
	if err := protojson.Unmarshal(res.Provenance, &statement); err != nil {
		t.Fatal(err)
	}
	var pred provenance.Provenance
	b, err := json.Marshal(statement.Predicate)
	if err != nil {
		t.Fatal(err)
	}
	if err := protojson.Unmarshal(b, &pred); err != nil {
		t.Fatal(err)
	}
	t.Run("is a valid SLSA statement about the release", func(t *testing.T) {
		if err := statement.Validate(); err != nil {
			t.Fatal(err)
		}
		if err := pred.Validate(); err != nil {
			t.Fatal(err)
		}
		if statement.Subject[0].Digest["sha256"] != res.Digest.Hex() || statement.PredicateType != build.PredicateType {
			t.Fatalf("%s", res.Provenance)
		}
		if res.ProvenanceDigest != towpath.DigestOf(res.Provenance) {
			t.Fatal("another digest")
		}
	})
	t.Run("says what was built from what, and no password", func(t *testing.T) {
		params := pred.BuildDefinition.ExternalParameters.AsMap()
		for key, want := range map[string]string{
			"repository": "https://example.com/shop.git", "ref": "refs/heads/main", "version": "1.0.0",
			"commit": string(r.Tip("main")), "tree": r.Git("rev-parse", "main^{tree}"),
		} {
			if params[key] != want {
				t.Fatalf("%s is %v, want %s", key, params[key], want)
			}
		}
		deps := pred.BuildDefinition.ResolvedDependencies
		if len(deps) != 3 || deps[0].Digest["gitCommit"] != string(r.Tip("main")) || deps[2].Digest["sha256"] != strings.Repeat("ab", 32) {
			t.Fatalf("%v", deps)
		}
		if bytes.Contains(res.Provenance, []byte("secret")) {
			t.Fatal("the password")
		}
	})
	t.Run("is the same for the same build at the same time", func(t *testing.T) {
		if again := newBench(t).build(r.Dir, req); !bytes.Equal(again.Provenance, res.Provenance) {
			t.Fatalf("%s\n%s", again.Provenance, res.Provenance)
		}
	})
}

func TestBuild_lock(t *testing.T) {
	for name, lock := range map[string]string{
		"another version":  "version: 2\n",
		"no YAML":          "{",
		"an unknown field": "version: 1\nother: 1\n",
		"a bad digest":     "version: 1\nentries: [{name: a, digest: latest}]\n",
		"a name twice":     "version: 1\nentries: [{name: a, digest: 'sha256:" + strings.Repeat("0", 64) + "'}, {name: a, digest: 'sha256:" + strings.Repeat("0", 64) + "'}]\n",
	} {
		t.Run("refuses "+name, func(t *testing.T) {
			r := repo(t, map[string]string{"api": ""}, map[string]string{"towpath.lock": lock})
			newBench(t).refused(r.Dir, build.Request{}, towpath.KindInvalid, "towpath.lock")
		})
	}
}
