package cli

import (
	"context"
	"io"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/towpath/towpath/internal/evidence"
	"github.com/towpath/towpath/internal/http/rest/client"
	"github.com/towpath/towpath/internal/oci"
	"github.com/towpath/towpath/internal/signing"
	"github.com/towpath/towpath/internal/towpath"
)

// maxReport is the largest report of a scanner that is read, in bytes.
const maxReport = 64 << 20

func newScan(s *session) *cobra.Command {
	return s.group("scan", "Reports of scanners about releases", newScanAttach(s))
}

func newScanAttach(s *session) *cobra.Command {
	var release, key string
	cmd := &cobra.Command{
		Use: "attach REPORT --release RELEASE --key FILE", Short: "Sign what a scanner found in a release, and attach it",
		Long: "Reads a report (SARIF 2, or CycloneDX with vulnerabilities), signs what it lists, and attaches that to the " +
			"release in the registry. Environments whose rules ask for scans take the newest of each tool. Findings that the report calls " +
			"resolved, false, suppressed or not affected are left out. A CycloneDX document that names no tool and says of each vulnerability " +
			"in which state it is (analysis.state) is a VEX document: what it calls so closes the same vulnerability in the same component in the reports " +
			"of all tools. A report of a run that failed, without a list of results, or of several tools is " +
			"refused. It is an error, too, when what is attached counts in no environment. - reads from standard input.",
		Example: "  trivy image --format sarif … | towpath scan attach - --release 1.4.0 --key scanner.key",
		Args:    positional(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if release == "" {
				return usageError(cmd, towpath.E(towpath.KindInvalid, "", "--release says what was scanned"))
			}
			if key == "" {
				key = s.env(keyEnv)
			}
			if key == "" {
				return usageError(cmd, towpath.E(towpath.KindInvalid, "", "--key names the file of the key to sign with").
					WithHint("make one with `towpath key generate`, and have it trusted: towpath trust add scanner --type scan --key FILE.pub"))
			}
			return s.runScanAttach(cmd.Context(), args[0], release, s.keyName(key))
		},
	}
	cmd.Flags().StringVar(&release, "release", "", "the release that was scanned")
	cmd.Flags().StringVar(&key, "key", "", "key to sign with ("+keyEnv+"): a file, or exec:PROGRAM")
	return cmd
}

// attachedScan is the result of scan attach.
type attachedScan struct {
	Release  towpath.Digest           `json:"release"`
	Manifest towpath.Digest           `json:"manifest"` // that attaches it
	Tool     string                   `json:"tool"`     // empty: a VEX document
	Findings map[towpath.Severity]int `json:"findings"`
	Closed   int                      `json:"closed"` // left out: the report itself takes them back
	// States are what a VEX document says, one of each vulnerability in a component.
	States   map[towpath.VEXState]int `json:"states,omitempty"`
	SignedBy signing.KeyID            `json:"signedBy"`
}

func (s *session) runScanAttach(ctx context.Context, report, release, keyFile string) error {
	b, err := s.readReport(report)
	if err != nil {
		return err
	}
	scan, err := evidence.ReadReport(b)
	if err != nil {
		return err
	}
	key, err := signing.Open(ctx, keyFile, s.password)
	if err != nil {
		return err
	}
	id, err := signing.SignerID(key)
	if err != nil {
		return err
	}
	c, project, err := s.target()
	if err != nil {
		return err
	}
	r, err := c.Release(ctx, project, release)
	if err != nil {
		return s.suggestRelease(ctx, c, project, release, err)
	}
	var manifest []byte
	err = c.Pull(ctx, project, r.Digest, true, func(body io.Reader) (err error) {
		manifest, err = io.ReadAll(io.LimitReader(body, oci.MaxManifest+1))
		return err
	})
	if err != nil {
		return err
	}
	if towpath.DigestOf(manifest) != r.Digest {
		return towpath.E(towpath.KindConflict, "", "the registry answered another manifest than %s", r.Digest).WithHint("see: towpath release verify %s", release)
	}
	// Of one tool the newest report counts, so each says when it was made.
	if scan.Made.IsZero() {
		scan.Made = s.apps.Now().UTC()
	}
	statement, err := evidence.MakeScan(r.Digest, scan)
	if err != nil {
		return err
	}
	bundle, err := signing.Sign(ctx, key, statement)
	if err != nil {
		return err
	}
	a, err := oci.AttachBundle(oci.Blob{Digest: r.Digest, Size: int64(len(manifest))}, evidence.TypeScan, bundle, s.apps.Now())
	if err != nil {
		return err
	}
	if err := c.Attach(ctx, project, a); err != nil {
		return err
	}
	out := attachedScan{Release: r.Digest, Manifest: a.Digest, Tool: scan.Tool, Findings: map[towpath.Severity]int{}, Closed: scan.Closed, SignedBy: id}
	for _, f := range scan.Findings {
		out.Findings[f.Severity]++
	}
	for _, x := range scan.Statements {
		if out.States == nil {
			out.States = map[towpath.VEXState]int{}
		}
		out.States[x.State]++
	}
	if scan.Errors > 0 {
		s.say("%s %s reports %s of its own: it may have found less than there is", s.style.warn("warning:"), scan.Tool, plural(scan.Errors, "error", "errors"))
	}
	err = s.print(result{data: out, names: []string{string(out.Manifest)}, show: func(p *page) {
		p.field("release", string(out.Release))
		if out.Tool != "" {
			p.field("tool", out.Tool)
		}
		for _, x := range slices.Sorted(maps.Keys(out.States)) {
			p.field(string(x), plural(out.States[x], "vulnerability in a component", "vulnerabilities in components"))
		}
		for _, x := range append([]towpath.Severity{towpath.SeverityUnknown}, towpath.Severities()...) {
			if n := out.Findings[x]; n > 0 {
				p.field(string(x), plural(n, "finding", "findings"))
			}
		}
		if len(scan.Findings)+len(scan.Statements) == 0 {
			p.field("found", "nothing")
		}
		p.field("signed by", string(out.SignedBy))
	}})
	if err != nil {
		return err
	}
	return s.counts(ctx, c, project, r.Digest, a.Digest)
}

// counts is an error when what was just attached counts in no environment, and
// says whose would. That the server can't tell now is none: it is attached.
func (s *session) counts(ctx context.Context, c *client.Client, p towpath.ProjectName, release, manifest towpath.Digest) error {
	x, told := statementIn(ctx, c, p, release, manifest)
	switch {
	case !told:
		s.say("%s it is attached, and the server did not say whether it counts; see: towpath release verify %s", s.style.warn("warning:"), release)
		return nil
	case x.Verified():
		return nil
	}
	e := towpath.E(towpath.KindInvalid, "scan.attach", "the report is attached, and does not count: %s", x.Refused)
	keys, err := c.TrustedKeys(ctx, p, "")
	if err != nil {
		return e
	}
	var may []string
	for _, k := range keys {
		if k.Revoked == nil && (len(k.Types) == 0 || slices.Contains(k.Types, towpath.EvidenceScan)) {
			may = append(may, string(k.Name))
		}
	}
	if len(may) == 0 {
		return e.WithHint("no key that is trusted may sign scans: towpath trust add NAME --type scan --key FILE.pub")
	}
	return e.WithHint("scans count that are signed by %s", strings.Join(may, ", "))
}

// statementIn is what the server makes of a statement that is attached, if it says so.
func statementIn(ctx context.Context, c *client.Client, p towpath.ProjectName, release, manifest towpath.Digest) (x towpath.Attestation, told bool) {
	said, err := c.Evidence(ctx, p, string(release), "")
	i := slices.IndexFunc(said.Statements, func(a towpath.Attestation) bool { return a.Artifact == manifest })
	if err != nil || i < 0 {
		return x, false
	}
	return said.Statements[i], true
}

func (s *session) readReport(name string) ([]byte, error) {
	r := s.stdin
	if name != "-" {
		f, err := os.Open(s.path(name))
		if err != nil {
			return nil, towpath.E(towpath.KindInvalid, "", "the report %s can't be read", name).WithCause(err)
		}
		defer f.Close()
		r = f
	}
	b, err := io.ReadAll(io.LimitReader(r, maxReport+1))
	if err != nil {
		return nil, towpath.E(towpath.KindInvalid, "", "the report can't be read").WithCause(err)
	}
	if len(b) > maxReport {
		return nil, towpath.E(towpath.KindExhausted, "", "the report has more than %d MiB", maxReport>>20)
	}
	return b, nil
}
