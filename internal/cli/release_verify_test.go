package cli_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/towpath/towpath/internal/cli"
	"github.com/towpath/towpath/internal/evidence"
	"github.com/towpath/towpath/internal/http/rest"
	"github.com/towpath/towpath/internal/oci"
	"github.com/towpath/towpath/internal/signing"
	"github.com/towpath/towpath/internal/towpath"
	"github.com/towpath/towpath/internal/towpathtest/apitest"
	"github.com/towpath/towpath/internal/trust"
)

// verifiable is a server with one release in its registry, signed by a key.
type verifiable struct {
	world   *apitest.World
	blobs   map[string][]byte             // of the registry, by digest
	answers map[string][]http.HandlerFunc // instead, to the next requests
	release towpath.Digest
	layer   towpath.Digest
	key     *signing.Key
	public  string // file
	other   string // file of a key that signed nothing
	shell   *shell
}

func newVerifiable(t *testing.T, components ...towpath.ComponentName) *verifiable {
	t.Helper()
	if len(components) == 0 {
		components = []towpath.ComponentName{"api"}
	}
	v := &verifiable{world: apitest.NewWorld(), blobs: map[string][]byte{}}
	put := func(b []byte) towpath.Digest { d := towpath.DigestOf(b); v.blobs[string(d)] = b; return d }
	v.layer = put([]byte("files"))
	spec := json.RawMessage(`{}`)
	content := &towpath.ReleaseContent{
		Schema: towpath.ReleaseSchema, Project: "shop", Environments: []towpath.ReleaseEnvironment{{Rules: towpath.EnvironmentSpec{Name: "prod"}}},
	}
	for _, name := range components { // all of the same files
		content.Components = append(content.Components, towpath.ReleaseComponent{Name: name, Kind: towpath.KindProcess, Layer: v.layer, Size: 5})
		content.Environments[0].Components = append(content.Environments[0].Components, towpath.RenderedComponent{
			Name: name, Spec: spec, Revision: towpath.RevisionOf(towpath.KindProcess, v.layer, spec),
		})
	}
	enc, err := oci.Encode(content)
	fatal(t, err)
	put(enc.Content)
	v.release = put(enc.Manifest)
	key, err := signing.Generate()
	fatal(t, err)
	statement, err := evidence.MakeSignature(v.release)
	fatal(t, err)
	bundle, err := signing.Sign(t.Context(), key, statement)
	fatal(t, err)
	v.world.Evidence = trust.Evidence{
		Project: "shop", Release: v.release, Version: "1.4.0", Commit: "c0ffee", Wanted: []towpath.EvidenceType{towpath.EvidenceSignature},
		Statements: []towpath.Attestation{{
			Type: towpath.EvidenceSignature, Artifact: "sha256:a", Bundle: put(bundle), Recorded: noon(), KeyID: "id", Key: "builder-2026",
		}},
	}
	provenance, err := evidence.Make("", v.release, evidence.TypeProvenance, map[string]any{
		"runDetails": map[string]any{"metadata": map[string]any{"startedOn": noon()}},
	})
	fatal(t, err)
	v.world.Blobs[towpath.DigestOf(provenance)] = provenance
	v.world.Releases = []towpath.Release{{
		Digest: v.release, Project: "shop", Versions: []towpath.VersionLabel{{Project: "shop", Version: "1.4.0", Release: v.release}},
		Candidates: []towpath.Candidate{{Project: "shop", Release: v.release, Version: "1.4.0", Commit: "c0ffee", Provenance: towpath.DigestOf(provenance)}},
	}}
	v.world.Verdicts.Candidate.Release = v.release
	for _, g := range towpath.EvidenceGates() {
		v.world.Verdicts.Verdicts = append(v.world.Verdicts.Verdicts, towpath.Verdict{Gate: g, Outcome: towpath.Allow})
	}
	s := apitest.New(t, v.world, func(_ *rest.Config, d *rest.Deps) {
		d.Mounts = append(d.Mounts, rest.Mount{Pattern: "/v2/", Policy: rest.Authenticated, Handler: http.HandlerFunc(v.serve)})
	})
	v.shell = newShell(t, s)
	v.key, v.public, v.other = key, keyFile(t, "mine.pub", key), keyFile(t, "other.pub", nil)
	return v
}

// judged has a gate of prod say something else than that it allows.
func (v *verifiable) judged(g towpath.GateName, o towpath.Outcome, reason string) {
	for i, x := range v.world.Verdicts.Verdicts {
		if x.Gate == g {
			v.world.Verdicts.Verdicts[i] = towpath.Verdict{Gate: g, Outcome: o, Reasons: []string{reason}}
		}
	}
}

func inProd(*verifiable) []string { return []string{"--env", "prod"} }

func quarantined(v *verifiable) {
	v.world.Evidence.Quarantine = &towpath.Quarantine{Release: v.release, Reason: "it loses orders", By: "ana", At: noon()}
}

func fatal(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// serve is the part of a registry that is read.
func (v *verifiable) serve(w http.ResponseWriter, r *http.Request) {
	digest := r.URL.Path[strings.LastIndex(r.URL.Path, "/")+1:]
	if next := v.answers[digest]; len(next) > 0 {
		v.answers[digest] = next[1:]
		next[0](w, r)
		return
	}
	if b, ok := v.blobs[digest]; ok {
		_, _ = w.Write(b)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusNotFound)
	_, _ = io.WriteString(w, `{"errors":[{"code":"BLOB_UNKNOWN","message":"there is no such blob"}]}`)
}

// TestReleaseVerify_damage: that the registry finds a layer damaged is what was to
// be found out, and no failure to find it out, however the server says so.
func TestReleaseVerify_damage(t *testing.T) {
	unreadable := func(code string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X-Request-Id", "req_1")
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusInternalServerError)
			_, _ = io.WriteString(w, `{"errors":[{"code":"`+code+`","message":"it can't be read"}]}`)
		}
	}
	cut := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "5")
		w.WriteHeader(http.StatusOK)
		_, _ = io.WriteString(w, "fil")
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}
	for _, tt := range []struct {
		name   string
		answer []http.HandlerFunc // to each request for the layer; then it is not there
		code   int
		says   string
	}{
		{"when the server says so", []http.HandlerFunc{unreadable("DAMAGED")}, cli.ExitDenied, "'s copy of sha256:"},
		{"when it breaks off, and is put aside", []http.HandlerFunc{cut}, cli.ExitDenied, "breaks off in sha256:"},
		{"when it breaks off again and again", []http.HandlerFunc{cut, cut}, cli.ExitDenied, "breaks off in sha256:"},
		{"but not when the server fails", []http.HandlerFunc{unreadable("UNKNOWN")}, cli.ExitError, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			v := newVerifiable(t)
			delete(v.blobs, string(v.layer))
			v.answers = map[string][]http.HandlerFunc{string(v.layer): tt.answer}
			got := v.shell.run("release", "verify", "1.4.0")
			if got.code != tt.code || !strings.Contains(got.stdout, tt.says) {
				t.Errorf("exit %d, want %d: %s%s", got.code, tt.code, got.stdout, got.stderr)
			}
		})
	}
	t.Run("what several components have is a problem once", func(t *testing.T) {
		v := newVerifiable(t, "api", "web")
		delete(v.blobs, string(v.layer))
		if got := v.shell.run("release", "verify", "1.4.0"); got.code != cli.ExitDenied || strings.Count(got.stdout, "does not have") != 1 {
			t.Errorf("exit %d: %s%s", got.code, got.stdout, got.stderr)
		}
	})
}

// keyFile writes a public key; of a new one when there is none.
func keyFile(t *testing.T, name string, k *signing.Key) string {
	t.Helper()
	var err error
	if k == nil {
		k, err = signing.Generate()
		fatal(t, err)
	}
	pem, err := signing.EncodePublic(k.Public())
	fatal(t, err)
	file := filepath.Join(t.TempDir(), name)
	fatal(t, os.WriteFile(file, pem, 0o600))
	return file
}

func TestReleaseVerify(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(v *verifiable)
		args   func(v *verifiable) []string
		code   int
		says   string
	}{
		{name: "passes what is asked for", says: "everything that is asked for holds"},
		{name: "passes with the key", args: func(v *verifiable) []string { return []string{"--key", v.other, "--key", v.public} }, says: "signed by:    "},
		{name: "fails with another key", args: func(v *verifiable) []string { return []string{"--key", v.other} }, code: cli.ExitDenied, says: "None of the given keys signed it."},
		{name: "fails without a signature that holds", change: func(v *verifiable) {
			s := &v.world.Evidence.Statements[0]
			s.Key, s.Refused = "", "the key was revoked"
		}, code: cli.ExitDenied, says: "There is no signature that holds."},
		{name: "passes what the gates of an environment allow", args: inProd, says: "everything that is asked for holds"},
		{name: "says what it looked at", says: "asked for:    its bytes\n              no quarantine\n              a signature by a key that is trusted in the project\n" +
			"not asked:    provenance, a bill of materials, a scan\n"},
		{name: "says what an environment asks for", change: func(v *verifiable) {
			v.world.Evidence.Wanted = []towpath.EvidenceType{towpath.EvidenceProvenance, towpath.EvidenceScan}
		}, args: inProd, says: "              provenance, a scan by the rules of prod\nnot asked:    a signature, a bill of materials\n"},
		{name: "says that an environment asks for nothing", change: func(v *verifiable) {
			v.world.Evidence.Wanted, v.world.Evidence.Statements, v.world.Evidence.Environment = nil, nil, "prod"
		}, args: inProd, says: "not asked:    a signature, provenance, a bill of materials, a scan\n"},
		{name: "does not praise what an environment asks nothing of", change: func(v *verifiable) {
			v.world.Evidence.Wanted, v.world.Evidence.Environment = nil, "prod"
		}, args: inProd, says: "everything that is asked for holds; prod asks for no evidence\n"},
		{name: "fails by a gate that denies", change: func(v *verifiable) {
			v.judged(towpath.GateProvenance, towpath.Deny, "It was built elsewhere.")
		}, args: inProd, code: cli.ExitDenied, says: "Gate provenance of prod does not allow it: It was built elsewhere."},
		{name: "fails by a gate that waits", change: func(v *verifiable) {
			v.judged(towpath.GateScan, towpath.Wait, "No scan by any scanner.")
		}, args: inProd, code: cli.ExitDenied, says: "Gate scan of prod does not allow it: No scan by any scanner."},
		{name: "fails by a gate that says nothing", change: func(v *verifiable) {
			v.world.Verdicts.Verdicts = v.world.Verdicts.Verdicts[1:]
		}, args: inProd, code: cli.ExitDenied, says: "Gate signed of prod says nothing."},
		{name: "fails by a gate, whoever's key signed it", change: func(v *verifiable) {
			v.judged(towpath.GateSBOM, towpath.Deny, "The bill is incomplete.")
		}, args: func(v *verifiable) []string { return append(inProd(v), "--key", v.public) }, code: cli.ExitDenied, says: "Gate sbom of prod does not allow it"},
		{name: "fails with another key, whatever the gates say", args: func(v *verifiable) []string {
			return append(inProd(v), "--key", v.other)
		}, code: cli.ExitDenied, says: "None of the given keys signed it."},
		{name: "fails what is quarantined", change: quarantined, code: cli.ExitDenied, says: "It is quarantined, by ana: it loses orders"},
		{name: "fails what is quarantined, whoever's key signed it", change: quarantined, args: func(v *verifiable) []string {
			return []string{"--key", v.public}
		}, code: cli.ExitDenied, says: "It is quarantined, by ana: it loses orders"},
		{name: "tells nothing of a release that was published meanwhile", change: func(v *verifiable) {
			v.world.Verdicts.Candidate.Release = "sha256:other"
		}, args: inProd, code: cli.ExitError},
		{name: "finds other bytes", change: func(v *verifiable) { v.blobs[string(v.layer)] = []byte("flies") }, code: cli.ExitDenied, says: "other bytes than"},
		{name: "finds more bytes", change: func(v *verifiable) { v.blobs[string(v.layer)] = []byte("files and more") }, code: cli.ExitDenied, says: "other bytes than"},
		{name: "finds another manifest", change: func(v *verifiable) { v.blobs[string(v.release)] = []byte("{}") }, code: cli.ExitDenied, says: "other bytes than"},
		{name: "finds a file missing", change: func(v *verifiable) { delete(v.blobs, string(v.layer)) }, code: cli.ExitDenied, says: ": it is lost. An admin runs `towpath registry scrub --repair-from RULE`"},
		{name: "builds the commit again", args: func(v *verifiable) []string {
			v.shell.apps.Build = func(_ context.Context, r cli.BuildRequest, _ cli.Progress) (cli.Built, error) {
				if r.Ref != "c0ffee" || r.Version != "1.4.0" || r.Key != "" || !r.Fresh || !r.AsOf.Equal(noon()) {
					t.Errorf("asked to build %+v", r)
				}
				return cli.Built{Digest: v.release}, nil
			}
			return []string{"--rebuild"}
		}, says: "rebuilt:      sha256:"},
		{name: "builds the commit again although nobody knows when it was built", change: func(v *verifiable) {
			v.world.Releases = nil
		}, args: func(v *verifiable) []string {
			v.shell.apps.Build = func(_ context.Context, r cli.BuildRequest, _ cli.Progress) (cli.Built, error) {
				if !r.AsOf.IsZero() {
					t.Errorf("asked to build %+v", r)
				}
				return cli.Built{Digest: v.release}, nil
			}
			return []string{"--rebuild"}
		}, says: "rebuilt:      sha256:"},
		{name: "builds nothing of what was published anew meanwhile", change: func(v *verifiable) {
			v.world.Releases[0].Candidates[0].Commit = "bad"
		}, args: func(v *verifiable) []string {
			v.shell.apps.Build = func(context.Context, cli.BuildRequest, cli.Progress) (cli.Built, error) {
				t.Error("it was built")
				return cli.Built{}, nil
			}
			return []string{"--rebuild"}
		}, code: cli.ExitError},
		{name: "finds another release in the commit", args: func(v *verifiable) []string {
			v.shell.apps.Build = func(context.Context, cli.BuildRequest, cli.Progress) (cli.Built, error) {
				return cli.Built{Digest: "sha256:other"}, nil
			}
			return []string{"--rebuild"}
		}, code: cli.ExitDenied, says: "Commit c0ffee gives another release here: sha256:other."},
	} {
		t.Run(tt.name, func(t *testing.T) {
			v := newVerifiable(t)
			if tt.change != nil {
				v.world.Do(func(*apitest.World) { tt.change(v) })
			}
			args := []string{"release", "verify", "1.4.0"}
			if tt.args != nil {
				args = append(args, tt.args(v)...)
			}
			got := v.shell.run(args...)
			if got.code != tt.code || !strings.Contains(got.stdout, tt.says) {
				t.Errorf("exit %d, want %d: %s%s", got.code, tt.code, got.stdout, got.stderr)
			}
		})
	}
	t.Run("tells another release from the one whose digest was given", func(t *testing.T) {
		v := newVerifiable(t)
		if got := v.shell.run("release", "verify", string(v.release), "--key", v.public); got.code != cli.ExitOK {
			t.Errorf("exit %d: %s%s", got.code, got.stdout, got.stderr)
		}
		got := v.shell.run("release", "verify", string(v.layer), "--key", v.public)
		if got.code != cli.ExitError || !strings.Contains(got.stderr, "about another release") {
			t.Errorf("exit %d: %s%s", got.code, got.stdout, got.stderr)
		}
	})
	t.Run("as JSON", func(t *testing.T) {
		v := newVerifiable(t)
		got := v.shell.run("release", "verify", "1.4.0", "--key", v.other, "-o", "json")
		var out struct {
			Schema, Release, Version string
			Verified                 bool
			Blobs                    int
			Bytes                    int64
			Problems                 []string
			Statements               []struct{ Type, Key string }
		}
		fatal(t, json.Unmarshal([]byte(got.stdout), &out))
		if out.Schema != cli.OutputSchema || out.Release != string(v.release) || out.Version != "1.4.0" || out.Verified || out.Blobs != 4 || out.Bytes == 0 || len(out.Problems) != 2 ||
			len(out.Statements) != 1 || out.Statements[0].Key != "builder-2026" {
			t.Errorf("got %+v", out)
		}
	})
}
