package agent_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/towpath/towpath/internal/agent"
	"github.com/towpath/towpath/internal/agentrpc"
	"github.com/towpath/towpath/internal/evidence"
	"github.com/towpath/towpath/internal/kind"
	"github.com/towpath/towpath/internal/oci"
	"github.com/towpath/towpath/internal/signing"
	"github.com/towpath/towpath/internal/towpath"
	"github.com/towpath/towpath/internal/towpathtest/fulciotest"
)

// shelf is blobs in memory.
type shelf map[towpath.Digest][]byte

func (s shelf) put(b []byte) towpath.Digest { d := towpath.DigestOf(b); s[d] = b; return d }

func (s shelf) Blob(_ context.Context, d towpath.Digest) (io.ReadCloser, error) {
	b, ok := s[d]
	if !ok {
		return nil, towpath.E(towpath.KindUnavailable, "test", "it can't be had now")
	}
	return io.NopCloser(bytes.NewReader(b)), nil
}

// released is a release on a shelf, and the operation that brings it to run.
type released struct {
	shelf shelf
	op    towpath.Operation
	auth  agentrpc.Authorisation
	key   *signing.Key
}

func newReleased(t *testing.T) *released {
	t.Helper()
	layer, spec := towpath.DigestOf([]byte("files")), json.RawMessage(`{"command":["bin/api","<&>"]}`)
	rev := towpath.RevisionOf(towpath.KindProcess, layer, spec)
	enc, err := oci.Encode(&towpath.ReleaseContent{
		Schema: towpath.ReleaseSchema, Project: "shop",
		Components:   []towpath.ReleaseComponent{{Name: "api", Kind: towpath.KindProcess, Layer: layer, Size: 5}},
		Environments: []towpath.ReleaseEnvironment{{Rules: towpath.EnvironmentSpec{Name: "dev"}, Components: []towpath.RenderedComponent{{Name: "api", Spec: spec, Revision: rev}}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	r := &released{shelf: shelf{}, key: newKey(t)}
	r.shelf.put(enc.Manifest)
	r.shelf.put(enc.Content)
	r.op = towpath.Operation{
		ID: "op_1", Verb: towpath.VerbPrepare, Target: towpath.Target{Project: "shop", Environment: "dev", Component: "api", Place: "local", Slot: towpath.SlotMain},
		Spec: towpath.OperationSpec{Kind: towpath.KindProcess, Release: enc.Digest, Layer: layer, Size: 5, Rendered: spec, Revision: rev},
	}
	r.auth = agentrpc.Authorisation{Release: enc.Digest, At: time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)}
	return r
}

func newKey(t *testing.T) *signing.Key {
	t.Helper()
	k, err := signing.Generate()
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// sign puts a bundle about a release on the shelf.
func (r *released) sign(t *testing.T, k signing.Signer, about towpath.Digest) towpath.Digest {
	t.Helper()
	statement, err := evidence.MakeSignature(about)
	if err != nil {
		t.Fatal(err)
	}
	b, err := signing.Sign(t.Context(), k, statement)
	if err != nil {
		t.Fatal(err)
	}
	return r.shelf.put(b)
}

func public(t *testing.T, k *signing.Key) string {
	t.Helper()
	b, err := signing.EncodePublic(k.Public())
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestVerified(t *testing.T) {
	relied := func(t *testing.T, r *released, by, named *signing.Key, about towpath.Digest) {
		r.auth.Evidence = []towpath.Evidence{{Type: evidence.TypeSignature, Bundle: r.sign(t, by, about), PublicKey: public(t, named), Recorded: r.auth.At}}
	}
	certified := func(t *testing.T, r *released, after time.Duration) {
		began := r.auth.At.Add(-time.Hour) // the certificate is long over when it is approved
		a := fulciotest.New(t, began)
		r.auth.Evidence = []towpath.Evidence{{
			Type: evidence.TypeSignature, Bundle: r.sign(t, a.Signer(), r.op.Spec.Release), PublicKey: identity(t, a), Recorded: began.Add(after),
		}}
	}
	for _, tt := range []struct {
		name    string
		change  func(t *testing.T, r *released)
		own     bool   // the agent has the key as its own
		refuses string // in the failure; empty: it is carried out
		later   bool   // it can't be told now
	}{
		{name: "carries out what the release holds"},
		{name: "whatever way its settings are written", change: func(_ *testing.T, r *released) {
			r.op.Spec.Rendered = json.RawMessage("{ \"command\": [\"bin/api\", \"\\u003c\\u0026>\"] }")
		}},
		{name: "refuses files of another release", refuses: "the files are not those of api", change: func(_ *testing.T, r *released) { r.op.Spec.Layer = towpath.DigestOf([]byte("others")) }},
		{name: "refuses no files", refuses: "the files are not those of api", change: func(_ *testing.T, r *released) { r.op.Spec.Layer, r.op.Spec.Size = "", 0 }},
		{name: "refuses another kind", refuses: "the files are not those of api", change: func(_ *testing.T, r *released) { r.op.Spec.Kind = "other" }},
		{name: "refuses files of another size", refuses: "the files are not those of api", change: func(_ *testing.T, r *released) { r.op.Spec.Size++ }},
		{name: "refuses other settings", refuses: "the settings are not those of api for dev", change: func(_ *testing.T, r *released) { r.op.Spec.Rendered = json.RawMessage(`{"command":["/bin/sh"]}`) }},
		{name: "refuses another revision", refuses: "the settings are not those", change: func(_ *testing.T, r *released) { r.op.Spec.Revision = "rev_9" }},
		{name: "refuses another environment", refuses: "the settings are not those of api for prod", change: func(_ *testing.T, r *released) { r.op.Target.Environment = "prod" }},
		{name: "refuses another component", refuses: "the files are not those of web", change: func(_ *testing.T, r *released) { r.op.Target.Component = "web" }},
		{name: "refuses a release of another project", refuses: "its release is one of project shop, not of billing", change: func(_ *testing.T, r *released) { r.op.Target.Project = "billing" }},
		{name: "refuses what is no release", refuses: "its release can't be read", change: func(_ *testing.T, r *released) { r.op.Spec.Release = r.shelf.put([]byte("{}")) }},
		{name: "tries again when the release can't be had", later: true, change: func(_ *testing.T, r *released) { delete(r.shelf, r.op.Spec.Release) }},

		{name: "verifies what the gates relied on", change: func(t *testing.T, r *released) { relied(t, r, r.key, r.key, r.op.Spec.Release) }},
		{name: "also of who has a certificate, by when the registry had it", change: func(t *testing.T, r *released) { certified(t, r, 0) }},
		{name: "refuses what the registry had after the certificate", refuses: "was valid from", change: func(t *testing.T, r *released) { certified(t, r, fulciotest.Life+time.Second) }},
		{name: "refuses evidence of another key", refuses: "evidence that its approval relied on does not hold", change: func(t *testing.T, r *released) { relied(t, r, newKey(t), r.key, r.op.Spec.Release) }},
		{name: "refuses evidence about something else", refuses: "does not hold: the bundle is about something else", change: func(t *testing.T, r *released) {
			relied(t, r, r.key, r.key, towpath.DigestOf([]byte("other")))
		}},
		{name: "refuses evidence of another type", refuses: "does not hold", change: func(t *testing.T, r *released) {
			relied(t, r, r.key, r.key, r.op.Spec.Release)
			r.auth.Evidence[0].Type = evidence.TypeProvenance
		}},
		{name: "reads no evidence without end", refuses: "more than the bytes that are read", change: func(t *testing.T, r *released) {
			relied(t, r, r.key, r.key, r.op.Spec.Release)
			r.auth.Evidence[0].Bundle = r.shelf.put(make([]byte, signing.MaxBundle+1))
		}},
		{name: "tries again when evidence can't be had", later: true, change: func(t *testing.T, r *released) {
			relied(t, r, r.key, r.key, r.op.Spec.Release)
			delete(r.shelf, r.auth.Evidence[0].Bundle)
		}},

		{name: "with a key of its own runs what it signed", own: true, change: func(t *testing.T, r *released) {
			r.auth.Signatures = []towpath.Digest{r.sign(t, newKey(t), r.op.Spec.Release), r.sign(t, r.key, r.op.Spec.Release)}
		}},
		{name: "with a key of its own refuses what nobody signed", own: true, refuses: "no signature by a key that this agent was given"},
		{name: "with a key of its own refuses what another signed", own: true, refuses: "no signature by a key that this agent was given", change: func(t *testing.T, r *released) {
			r.auth.Signatures = []towpath.Digest{r.sign(t, newKey(t), r.op.Spec.Release)}
			relied(t, r, newKey(t), r.key, r.op.Spec.Release)
			r.auth.Evidence = nil
		}},
		{name: "with a key of its own refuses what only others signed, although that holds", own: true, refuses: "no signature by a key that this agent was given", change: func(t *testing.T, r *released) {
			other := newKey(t)
			relied(t, r, other, other, r.op.Spec.Release)
		}},
		{name: "with a key of its own tries again when a signature can't be had", own: true, later: true, change: func(_ *testing.T, r *released) {
			r.auth.Signatures = []towpath.Digest{towpath.DigestOf([]byte("gone"))}
		}},
		{name: "with a key of its own tries 32 signatures and no more", own: true, refuses: "no signature by a key", change: func(t *testing.T, r *released) {
			r.auth.Signatures = append(slices.Repeat([]towpath.Digest{r.sign(t, newKey(t), r.op.Spec.Release)}, 32), r.sign(t, r.key, r.op.Spec.Release))
		}},
		{name: "with a key of its own refuses a signature of another release", own: true, refuses: "no signature by a key", change: func(t *testing.T, r *released) {
			r.auth.Signatures = []towpath.Digest{r.sign(t, r.key, towpath.DigestOf([]byte("other")))}
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newReleased(t)
			if tt.change != nil {
				tt.change(t, r)
			}
			var keys []string
			if tt.own {
				keys = []string{public(t, r.key)}
			}
			v, err := agent.NewVerified(keys)
			if err != nil {
				t.Fatal(err)
			}
			err = v.Check(t.Context(), r.shelf, r.op, r.auth)
			failure := new(kind.Failure)
			switch refused := errors.As(err, &failure); {
			case tt.later:
				if err == nil || refused {
					t.Errorf("got %v, want an error that is tried again", err)
				}
			case tt.refuses == "":
				if err != nil {
					t.Errorf("refused: %v", err)
				}
			case !refused || !strings.Contains(failure.Message, tt.refuses):
				t.Errorf("got %v, want a failure that says %q", err, tt.refuses)
			}
		})
	}
	t.Run("takes no key that is none", func(t *testing.T) {
		if _, err := agent.NewVerified([]string{"ssh-rsa AAAA"}); err == nil {
			t.Error("taken")
		}
	})
}

// refusing takes no release.
type refusing struct{ asked *[]string }

func (r refusing) Check(_ context.Context, _ agent.Blobs, op towpath.Operation, _ agentrpc.Authorisation) error {
	*r.asked = append(*r.asked, string(op.Verb))
	return &kind.Failure{Message: "the agent refuses the operation: a test"}
}

// TestAgent_ChecksWhatItRuns: what is brought to run is checked before anything
// is done, and what has had the traffic here before is not, for going back.
func TestAgent_ChecksWhatItRuns(t *testing.T) {
	onBench(t, func(t *testing.T, b *bench) {
		b.srv.add(t, b.op("op_1", towpath.VerbPrepare))
		b.srv.result(t, "op_1")
		b.srv.add(t, b.op("op_2", towpath.VerbSwitch))
		b.srv.result(t, "op_2")
		b.stop()
		var asked []string
		b.released = refusing{&asked}
		b.start()
		next := b.op("op_3", towpath.VerbPrepare)
		next.Spec = listening(next.Spec, "elsewhere")
		b.srv.add(t, next)
		if r := b.srv.result(t, "op_3"); r.Status != towpath.ResultFailed || !strings.Contains(r.Message, "refuses") {
			t.Errorf("a new revision: %+v", r)
		}
		b.srv.add(t, b.op("op_4", towpath.VerbRestore))
		if r := b.srv.result(t, "op_4"); r.Status != towpath.ResultDone {
			t.Errorf("the one that had the traffic: %+v", r)
		}
		if want := []string{string(towpath.VerbPrepare)}; !slices.Equal(asked, want) {
			t.Errorf("asked for %q, want %q", asked, want)
		}
		if slices.Contains(b.runner.steps(), "prepare op_3") {
			t.Error("it was done all the same")
		}
	})
}

// TestAuthorisation_CarriesEvidence: what an agent verifies is signed by the
// server, so that nobody in between can leave it out.
func TestAuthorisation_CarriesEvidence(t *testing.T) {
	secret, key, err := note.GenerateKey(rand.Reader, "towpath.test")
	if err != nil {
		t.Fatal(err)
	}
	signer, err := note.NewSigner(secret)
	if err != nil {
		t.Fatal(err)
	}
	want := agentrpc.Authorisation{Release: "sha256:1", Evidence: []towpath.Evidence{{Type: "t", Bundle: "sha256:2", PublicKey: "k"}}, Signatures: []towpath.Digest{"sha256:3"}}
	signed, err := want.Sign(signer)
	if err != nil {
		t.Fatal(err)
	}
	verifier, err := note.NewVerifier(key)
	if err != nil {
		t.Fatal(err)
	}
	got, err := agentrpc.VerifyAuthorisation(signed, verifier)
	if err != nil || len(got.Evidence) != 1 || got.Evidence[0] != want.Evidence[0] || !slices.Equal(got.Signatures, want.Signatures) {
		t.Errorf("got %+v, %v", got, err)
	}
	if _, err := agentrpc.VerifyAuthorisation(strings.Replace(signed, "sha256:2", "sha256:9", 1), verifier); err == nil {
		t.Error("it was changed, and is believed")
	}
}

// TestVerified_JudgesTheEvidenceAgain: that an approval says so is not enough for
// the agent: what was attached must satisfy the rules by itself.
func TestVerified_JudgesTheEvidenceAgain(t *testing.T) {
	const commit = "0123456789abcdef0123456789abcdef01234567"
	from := func(builder, ref, commit string) any {
		return map[string]any{
			"runDetails": map[string]any{"builder": map[string]any{"id": builder}},
			"buildDefinition": map[string]any{"resolvedDependencies": []any{
				map[string]any{"uri": "git+https://git.example.com/shop@" + ref, "digest": map[string]any{"gitCommit": commit}},
			}},
		}
	}
	scan := func(findings ...towpath.ScanFinding) evidence.Scan {
		return evidence.Scan{Tool: "Trivy", Findings: findings}
	}
	bad := towpath.ScanFinding{ID: "CVE-7", Severity: towpath.SeverityCritical}
	pad := towpath.ScanFinding{ID: "CVE-7", Severity: towpath.SeverityCritical, PURL: "pkg:npm/left-pad@1.3.0"}
	harmless := func(purl string) evidence.Scan {
		return evidence.Scan{Statements: []towpath.VEXStatement{{ID: "CVE-7", State: towpath.VEXNotAffected, PURL: purl}}}
	}
	signed, builder, bill, clean := struct{}{}, from("https://ci.example.com", "refs/heads/main", commit),
		map[string]any{"bomFormat": "CycloneDX", "specVersion": "1.6"}, scan()
	type said struct {
		predicate string
		says      any
	}
	all := []said{{evidence.TypeSignature, signed}, {evidence.TypeProvenance, builder}, {evidence.TypeSBOM, bill}, {evidence.TypeScan, clean}}
	with := func(i int, says any) []said {
		return append(append(slices.Clone(all[:i]), said{all[i].predicate, says}), all[i+1:]...)
	}
	without := func(i int) []said { return append(slices.Clone(all[:i]), all[i+1:]...) }
	for _, tt := range []struct {
		name    string
		said    []said
		change  func(*towpath.GateRules)
		name2   towpath.KeyName // that the server gives the key
		known   time.Duration   // before the approval
		refuses string
	}{
		{name: "carries out what satisfies the rules", said: all},
		{name: "refuses without a signature", said: without(0), refuses: "0 of 1 signature by builder"},
		{name: "refuses fewer keys than are asked for", said: append(slices.Clone(all), all[0]), change: func(r *towpath.GateRules) { r.Signed.Count = 2 }, refuses: "1 of 2 signatures by builder"},
		{name: "refuses a key that the rules don't name", said: all, name2: "other", refuses: "0 of 1 signature by builder"},
		{name: "refuses without a provenance", said: without(1), refuses: "No provenance that counts"},
		{name: "refuses another builder", said: with(1, from("https://laptop", "refs/heads/main", commit)), refuses: "it was built by “https://laptop”"},
		{name: "refuses another branch", said: with(1, from("https://ci.example.com", "refs/heads/mine", commit)), refuses: "it was built at “refs/heads/mine”"},
		{name: "refuses another repository", said: all, change: func(r *towpath.GateRules) { r.Provenance.Repositories = []string{"https://git.example.com/other"} }, refuses: "it was built from the repository"},
		{name: "refuses the provenance of another commit", said: with(1, from("https://ci.example.com", "refs/heads/main", "fedc")), refuses: "was built from commit 0123456789"},
		{name: "does not ask who reviewed it, which it can't know", said: all, change: func(r *towpath.GateRules) { r.Provenance.Reviewed = true }},
		{name: "refuses what is not what it says that it is", said: with(1, map[string]any{"runDetails": 1}), change: func(r *towpath.GateRules) { r.Provenance = nil }, refuses: "can't be read"},
		{name: "refuses without a bill of materials", said: without(2), refuses: "No bill of materials that counts"},
		{name: "refuses without a scan", said: without(3), refuses: "No scan by any scanner that counts"},
		{name: "carries out what was scanned of late", said: all, change: func(r *towpath.GateRules) { r.Scan.MaxAge = time.Hour }, known: 30 * time.Minute},
		{name: "refuses what was scanned long before", said: all, change: func(r *towpath.GateRules) { r.Scan.MaxAge = time.Hour }, known: 2 * time.Hour, refuses: "The last scan by Trivy is of 2026-11-21T10:00:00Z, and it may be at most 1h old"},
		{name: "refuses a bad finding", said: with(3, scan(bad)), refuses: "Trivy found CVE-7 (critical)"},
		{name: "unless it is excepted", said: with(3, scan(bad)), change: func(r *towpath.GateRules) {
			r.Scan.Exceptions = []towpath.ScanException{{ID: "CVE-7", Reason: "not reached", Until: "2026-11-21"}}
		}},
		{name: "or somebody says that it does no harm there", said: append(with(3, scan(pad)), said{evidence.TypeScan, harmless("pkg:npm/left-pad@1.3.0")})},
		{name: "refuses a bad finding that does no harm elsewhere", said: append(with(3, scan(pad)), said{evidence.TypeScan, harmless("pkg:npm/lodash@4.0.0")}), refuses: "Trivy found CVE-7 (critical)"},
		{name: "refuses what has nothing but an opinion", said: with(3, harmless("pkg:npm/left-pad@1.3.0")), refuses: "No scan by any scanner that counts"},
		{name: "refuses a bad finding whose exception has ended", said: with(3, scan(bad)), change: func(r *towpath.GateRules) {
			r.Scan.Exceptions = []towpath.ScanException{{ID: "CVE-7", Reason: "not reached", Until: "2026-11-20"}}
		}, refuses: "the exception for it ended on 2026-11-20"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newReleased(t)
			r.auth.Commit = commit
			r.auth.Rules = &towpath.GateRules{
				Signed:     &towpath.SignedRule{Count: 1, Keys: []towpath.KeyName{"builder"}},
				Provenance: &towpath.ProvenanceRule{Builders: []string{"https://ci.example.com"}, Branches: []string{"main"}},
				SBOM:       &towpath.SBOMRule{}, Scan: &towpath.ScanRule{Severity: towpath.SeverityHigh},
			}
			if tt.change != nil {
				tt.change(r.auth.Rules)
			}
			name := towpath.KeyName("builder")
			if tt.name2 != "" {
				name = tt.name2
			}
			for _, s := range tt.said {
				statement, err := evidence.Make("", r.op.Spec.Release, s.predicate, s.says)
				if x, ok := s.says.(evidence.Scan); ok {
					statement, err = evidence.MakeScan(r.op.Spec.Release, x)
				}
				if err != nil {
					t.Fatal(err)
				}
				bundle, err := signing.Sign(t.Context(), r.key, statement)
				if err != nil {
					t.Fatal(err)
				}
				r.auth.Evidence = append(r.auth.Evidence, towpath.Evidence{
					Type: s.predicate, Bundle: r.shelf.put(bundle), PublicKey: public(t, r.key), Key: name, Recorded: r.auth.At, First: r.auth.At.Add(-tt.known),
				})
			}
			v, err := agent.NewVerified(nil)
			if err != nil {
				t.Fatal(err)
			}
			err = v.Check(t.Context(), r.shelf, r.op, r.auth)
			var failure *kind.Failure
			switch {
			case tt.refuses == "" && err != nil:
				t.Errorf("refused: %v", err)
			case tt.refuses != "" && (!errors.As(err, &failure) || !strings.Contains(failure.Message, tt.refuses)):
				t.Errorf("got %v", err)
			}
		})
	}
}
