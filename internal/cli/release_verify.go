package cli

import (
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/towpath/towpath/internal/evidence"
	"github.com/towpath/towpath/internal/http/rest/client"
	"github.com/towpath/towpath/internal/oci"
	"github.com/towpath/towpath/internal/registry"
	"github.com/towpath/towpath/internal/signing"
	"github.com/towpath/towpath/internal/towpath"
	"github.com/towpath/towpath/internal/trust"
)

type releaseChecks struct {
	env     string
	keys    []string
	rebuild bool
}

func newReleaseVerify(s *session) *cobra.Command {
	var o releaseChecks
	cmd := &cobra.Command{
		Use: "verify RELEASE", Short: "Check a release's bytes and what is said about it",
		Long: "Reads every byte of the release from the registry and compares the digests; lists the signed statements about it and whether " +
			"they hold; and fails when the release is quarantined, and unless there is what is asked for:\n\n" +
			"  --env ENV   the gates signed, provenance, sbom and scan of the environment allow it (those without a rule allow everything)\n" +
			"  --key FILE  one of these keys signed it\n" +
			"  neither     some key that is trusted in the project signed it\n\n" +
			"With both, both have to hold. It says what was asked for and what was not. --rebuild builds the commit again in this repository and compares the digest.\n\n" +
			"Digests are compared, signatures of --key verified and commits rebuilt here. Believed from the server is which commit and version " +
			"the release has, when it was built (--rebuild judges by that the exceptions of towpath.yaml that end some day), whether it is quarantined, what the gates of --env say, and which statements hold by the keys that it trusts.",
		Example: "  towpath release verify 1.4.0 --env prod\n  towpath release verify 1.4.0 --key cosign.pub --rebuild",
		Args:    positional(1, 1),
		RunE:    func(cmd *cobra.Command, args []string) error { return s.runReleaseVerify(cmd.Context(), args[0], o) },
	}
	f := cmd.Flags()
	f.StringVar(&o.env, "env", "", "whose trusted keys count, and whose gates of evidence have to allow it")
	f.StringArrayVar(&o.keys, "key", nil, "file of a public key to verify signatures with, here (repeat it for several)")
	f.BoolVar(&o.rebuild, "rebuild", false, "build the commit again and compare the digest")
	return cmd
}

// verifiedRelease is the result of release verify.
type verifiedRelease struct {
	trust.Evidence
	Verdicts []towpath.Verdict `json:"verdicts,omitempty"` // of the environment's gates of evidence
	Bytes    int64             `json:"bytes"`              // read and compared
	Blobs    int               `json:"blobs"`              // with the manifest
	Rebuilt  towpath.Digest    `json:"rebuilt,omitempty"`  // digest of the commit, built again
	AsOf     time.Time         `json:"asOf,omitzero"`      // by when exceptions were judged for that
	SignedBy string            `json:"signedBy,omitempty"`
	AskedFor []string          `json:"askedFor"`          // in words
	Unasked  []string          `json:"unasked,omitempty"` // evidence that nothing asked for
	Verified bool              `json:"verified"`
	Problems []string          `json:"problems,omitempty"` // sentences
}

func (s *session) runReleaseVerify(ctx context.Context, name string, o releaseChecks) error {
	if o.rebuild && s.apps.Build == nil {
		return missing("builder")
	}
	own, err := s.ownKeys(o.keys)
	if err != nil {
		return err
	}
	c, project, err := s.target()
	if err != nil {
		return err
	}
	out := verifiedRelease{}
	if out.Evidence, err = c.Evidence(ctx, project, name, towpath.EnvironmentName(o.env)); err != nil {
		return s.suggestEither(ctx, c, project, name, towpath.EnvironmentName(o.env), err)
	}
	if d := towpath.Digest(name); d.Valid() && d != out.Release {
		return towpath.E(towpath.KindInternal, "release.verify", "the server answered about another release: %s", out.Release).On(name).
			WithHint("don't believe this server; ask who runs it")
	}
	out.asks(o)
	if err := out.readAll(ctx, c); err != nil {
		return err
	}
	if err := out.satisfies(ctx, c, name, towpath.EnvironmentName(o.env), own); err != nil {
		return err
	}
	if o.rebuild {
		if err := s.rebuild(ctx, c, name, &out); err != nil {
			return err
		}
	}
	out.Verified = len(out.Problems) == 0
	err = s.print(result{data: out, names: []string{string(out.Release)}, show: func(p *page) { showVerified(p, out) }})
	if err == nil && !out.Verified {
		return outcome(ExitDenied)
	}
	return err
}

func (s *session) ownKeys(files []string) (*signing.Verifier, error) {
	if len(files) == 0 {
		return nil, nil
	}
	var t signing.Trust
	for _, f := range files {
		pem, err := s.readPublicPEM(f)
		if err != nil {
			return nil, err
		}
		t.Keys = append(t.Keys, signing.TrustedKey{Name: f, PublicKey: pem, Types: []string{evidence.TypeSignature}})
	}
	return signing.NewVerifier(t)
}

// problem notes what is wrong, once: layers may be the same blob.
func (v *verifiedRelease) problem(sentence string) {
	if !slices.Contains(v.Problems, sentence) {
		v.Problems = append(v.Problems, sentence)
	}
}

// readAll reads the release as a client of registries does, and compares.
func (v *verifiedRelease) readAll(ctx context.Context, c *client.Client) error {
	manifest, err := v.read(ctx, c, v.Release, true, oci.MaxManifest)
	if err != nil || manifest == nil {
		return err
	}
	m, err := oci.ParseManifest(manifest)
	if err != nil {
		return v.damaged(err)
	}
	content, err := v.read(ctx, c, m.Config.Digest, false, oci.MaxContent)
	if err != nil || content == nil {
		return err
	}
	if _, _, err := oci.Decode(manifest, content); err != nil {
		return v.damaged(err)
	}
	for _, l := range m.Layers {
		if err := v.check(ctx, c, l.Digest, l.Size); err != nil {
			return err
		}
	}
	return nil
}

// damaged notes what is wrong with the release itself.
func (v *verifiedRelease) damaged(err error) error {
	message, _ := towpath.PublicMessage(err)
	v.problem(message + ".")
	return nil
}

// read reads something small; nothing when it is not what it should be.
func (v *verifiedRelease) read(ctx context.Context, c *client.Client, d towpath.Digest, manifest bool, limit int64) ([]byte, error) {
	var b []byte
	err := v.pull(ctx, c, d, manifest, func(r io.Reader) (err error) {
		b, err = io.ReadAll(io.LimitReader(r, limit+1))
		return err
	})
	if err != nil {
		return nil, v.unread(d, err)
	}
	if v.compare(d, towpath.DigestOf(b)); towpath.DigestOf(b) != d {
		return nil, nil
	}
	v.Blobs, v.Bytes = v.Blobs+1, v.Bytes+int64(len(b))
	return b, nil
}

// check reads something large and keeps nothing of it.
func (v *verifiedRelease) check(ctx context.Context, c *client.Client, d towpath.Digest, size int64) error {
	sum, n := sha256.New(), int64(0)
	err := v.pull(ctx, c, d, false, func(r io.Reader) (err error) {
		sum.Reset()
		n, err = io.Copy(sum, io.LimitReader(r, size+1))
		return err
	})
	if err != nil {
		return v.unread(d, err)
	}
	v.compare(d, towpath.DigestFrom(sum.Sum(nil)))
	v.Blobs, v.Bytes = v.Blobs+1, v.Bytes+n
	return nil
}

// pull reads something from the registry. What breaks off is asked for once more:
// by then a server has put aside what is damaged, which tells it from a connection
// that broke.
func (v *verifiedRelease) pull(ctx context.Context, c *client.Client, d towpath.Digest, manifest bool, use func(io.Reader) error) error {
	err := c.Pull(ctx, v.Project, d, manifest, use)
	if known := (*towpath.Error)(nil); err == nil || ctx.Err() != nil || errors.As(err, &known) {
		return err
	}
	again := c.Pull(ctx, v.Project, d, manifest, use)
	if towpath.KindOf(again) == towpath.KindNotFound {
		return io.ErrUnexpectedEOF
	}
	return again
}

func (v *verifiedRelease) compare(want, got towpath.Digest) {
	if want != got {
		v.problem("The registry answered other bytes than " + string(want) + ": their digest is " + string(got) + ".")
	}
}

// healing is what brings back what is damaged or lost.
const healing = "An admin runs `towpath registry scrub --repair-from RULE` (`towpath replication list` shows the rules), or somebody publishes the same content again."

// unread tells damage and absence from a server that can't be asked.
func (v *verifiedRelease) unread(d towpath.Digest, err error) error {
	switch towpath.KindOf(err) {
	case towpath.KindNotFound:
		v.problem("The registry does not have " + string(d) + ": it is lost. " + healing)
		return nil
	case towpath.KindInternal:
		if known := (*towpath.Error)(nil); errors.As(err, &known) && known.Fields[client.FieldCode] == string(registry.Harmed) {
			v.problem("The registry's copy of " + string(d) + " is damaged. " + healing)
			return nil
		}
	case towpath.KindUnavailable, towpath.KindUnauthenticated, towpath.KindForbidden:
		return err
	}
	if errors.Is(err, io.ErrUnexpectedEOF) {
		v.problem("The registry breaks off in " + string(d) + ": its copy is damaged. " + healing)
		return nil
	}
	return err
}

// satisfies looks for all that is asked for: a quarantine outweighs what is said
// about the release, and neither the environment's rules nor the user's own keys
// stand for the other.
func (v *verifiedRelease) satisfies(ctx context.Context, c *client.Client, name string, env towpath.EnvironmentName, own *signing.Verifier) error {
	if q := v.Quarantine; q != nil {
		v.problem("It is quarantined, by " + string(q.By) + ": " + q.Reason)
	}
	if env != "" {
		if err := v.passes(ctx, c, name, env); err != nil {
			return err
		}
	}
	switch {
	case own != nil:
		return v.signedHere(ctx, c, own)
	case env == "":
		v.wants()
	}
	return nil
}

// passes asks the gates of the environment that judge what is said about the
// release. One that says nothing allows nothing.
func (v *verifiedRelease) passes(ctx context.Context, c *client.Client, name string, env towpath.EnvironmentName) error {
	judged, err := c.Judged(ctx, v.Project, name, env)
	if err != nil {
		return err
	}
	if judged.Candidate.Release != v.Release {
		return towpath.E(towpath.KindConflict, "release.verify", "%s has become another release meanwhile: %s", name, short(judged.Candidate.Release)).
			WithHint("verify it again, by its digest")
	}
	for _, gate := range towpath.EvidenceGates() {
		i := slices.IndexFunc(judged.Verdicts, func(x towpath.Verdict) bool { return x.Gate == gate })
		if i < 0 {
			v.problem("Gate " + string(gate) + " of " + string(env) + " says nothing.")
			continue
		}
		verdict := judged.Verdicts[i]
		v.Verdicts = append(v.Verdicts, verdict)
		if verdict.Outcome != towpath.Allow {
			v.problem("Gate " + string(gate) + " of " + string(env) + " does not allow it: " + strings.Join(verdict.Reasons, " "))
		}
	}
	return nil
}

// wants looks for the statements that are asked for without an environment.
func (v *verifiedRelease) wants() {
	for _, t := range v.Wanted {
		if !slices.ContainsFunc(v.Statements, func(a towpath.Attestation) bool { return a.Type == t && a.Verified() }) {
			v.problem("There is no " + string(t) + " that holds.")
		}
	}
}

func showVerified(p *page, v verifiedRelease) {
	p.field("release", p.style.bold(v.Version))
	p.field("digest", string(v.Release))
	p.field("read", plural(v.Blobs, "blob", "blobs")+", "+size(v.Bytes))
	p.field("signed by", v.SignedBy)
	p.field("rebuilt", string(v.Rebuilt))
	if !v.AsOf.IsZero() {
		p.field("as of", at(v.AsOf)+", when its provenance says that it was built")
	}
	p.fields("asked for", v.AskedFor)
	if len(v.Unasked) > 0 {
		p.field("not asked", strings.Join(v.Unasked, ", "))
	}
	p.verdicts(v.Verdicts)
	if len(v.Statements) > 0 {
		p.heading("Statements")
		t := table{columns: []string{"TYPE", "KEY", "RECORDED", "HOLDS", "+BUNDLE"}}
		for _, a := range v.Statements {
			holds := p.style.good("yes")
			if !a.Verified() {
				holds = p.style.bad("no: " + a.Refused)
			}
			t.add(string(a.Type), orDash(a.Key), at(a.Recorded), holds, string(a.Bundle))
		}
		p.table(t)
	}
	if v.Verified {
		p.line("%s", p.style.good(v.verdict()))
		return
	}
	p.heading("Problems")
	for _, x := range v.Problems {
		p.line("%s", p.style.bad(x))
	}
}
