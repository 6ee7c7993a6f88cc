package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/towpath/towpath/internal/http/rest/client"
	"github.com/towpath/towpath/internal/ledger"
	"github.com/towpath/towpath/internal/merkle"
	"github.com/towpath/towpath/internal/towpath"
)

type verifyOptions struct {
	file  string
	key   string // file with the public key
	local bool
}

func newAuditVerify(s *session) *cobra.Command {
	var o verifyOptions
	cmd := &cobra.Command{
		Use: "verify", Short: "Verify every entry of the ledger, and that it continues what was seen before",
		Long: "The server recomputes the whole ledger. This client keeps the newest checkpoint that it saw and demands that the ledger " +
			"continues it, so that a ledger which was cut off or replaced shows. With --local the entries are fetched and " +
			"recomputed here, which takes nothing on the server's word; with --file an export is, with no server at all.",
		Args: positional(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error { return s.runAuditVerify(cmd.Context(), o) },
	}
	cmd.Flags().StringVar(&o.file, "file", "", "verify this export")
	cmd.Flags().StringVar(&o.key, "key", "", "with --file: file with the ledger's public key (default: the one kept)")
	cmd.Flags().BoolVar(&o.local, "local", false, "fetch the entries and recompute them here")
	return cmd
}

func (s *session) runAuditVerify(ctx context.Context, o verifyOptions) error {
	set, err := s.settings()
	if err != nil {
		return err
	}
	path, err := s.checkpointFile(set.URL)
	if err != nil {
		return err
	}
	k, err := loadKept(path)
	if err != nil {
		return err
	}
	if o.file != "" {
		report, err := s.verifyFile(o, k)
		if err != nil {
			return err
		}
		return s.printReport(report)
	}
	c, err := s.client()
	if err != nil {
		return err
	}
	report, err := s.verifyServer(ctx, c, o, &k)
	if err != nil {
		return err
	}
	if report.OK && k.Checkpoint != "" {
		if err := k.save(path); err != nil {
			return err
		}
	}
	return s.printReport(report)
}

// verifyServer verifies a server's ledger and updates what is kept.
func (s *session) verifyServer(ctx context.Context, c *client.Client, o verifyOptions, k *kept) (ledger.Report, error) {
	cp, err := c.Checkpoint(ctx)
	if towpath.KindOf(err) == towpath.KindNotFound && k.Checkpoint == "" { // nothing has happened yet
		return c.Verify(ctx, "")
	}
	if err != nil {
		return ledger.Report{}, err
	}
	next, err := k.accept(cp.Checkpoint, cp.PublicKey)
	if err != nil {
		return ledger.Report{}, err
	}
	var report ledger.Report
	if o.local {
		report, err = s.verifyLocally(ctx, c, next.PublicKey, *k)
	} else {
		report, err = c.Verify(ctx, k.Checkpoint)
	}
	if err != nil || !report.OK {
		return report, err
	}
	*k, err = next.accept(report.Note, cp.PublicKey)
	return report, err
}

// verifyLocally streams an export through the verification.
func (s *session) verifyLocally(ctx context.Context, c *client.Client, key string, k kept) (ledger.Report, error) {
	v, err := merkle.NewVerifier(key)
	if err != nil {
		return ledger.Report{}, err
	}
	_, trusted, err := k.open()
	if err != nil {
		return ledger.Report{}, err
	}
	r, w := io.Pipe()
	exported := make(chan error, 1)
	go func() {
		err := c.Export(ctx, w)
		_ = w.CloseWithError(err) // never fails
		exported <- err
	}()
	report, err := ledger.VerifyExport(r, v, trusted)
	_ = r.Close() // ends an export that is not read to its end
	if exportErr := <-exported; exportErr != nil && !errors.Is(exportErr, io.ErrClosedPipe) {
		return report, exportErr
	}
	return report, err
}

func (s *session) verifyFile(o verifyOptions, k kept) (ledger.Report, error) {
	if o.key != "" {
		b, err := os.ReadFile(o.key)
		if err != nil {
			return ledger.Report{}, towpath.E(towpath.KindInvalid, "", "%s can't be read", o.key).WithCause(err)
		}
		if key := strings.TrimSpace(string(b)); key != strings.TrimSpace(k.PublicKey) {
			if k.Checkpoint != "" {
				fmt.Fprintf(s.stderr, "the checkpoint kept here is of another key than %s, and is not used\n", o.key)
			}
			k = kept{PublicKey: key}
		}
	}
	v, trusted, err := k.open()
	if err != nil {
		return ledger.Report{}, err
	}
	if v == nil {
		return ledger.Report{}, towpath.E(towpath.KindInvalid, "", "the ledger's public key is not known here").
			WithHint("give it with --key FILE: the key that stands in the export proves nothing")
	}
	f, err := os.Open(o.file)
	if err != nil {
		return ledger.Report{}, towpath.E(towpath.KindInvalid, "", "%s can't be read", o.file).WithCause(err)
	}
	defer func() { _ = f.Close() }() // only read
	return ledger.VerifyExport(f, v, trusted)
}

// printReport prints a verification; a bad ledger is exit code 1.
func (s *session) printReport(r ledger.Report) error {
	err := s.print(result{data: r, names: []string{fmt.Sprint(r.OK)}, show: func(p *page) {
		if r.OK {
			p.line("%s %s verified", p.style.good("ok"), plural(int(r.Entries), "entry", "entries"))
		} else {
			p.line("%s after %s", p.style.bad("NOT INTACT"), plural(int(r.Entries), "good entry", "good entries"))
		}
		if cp := r.Checkpoint; cp != nil {
			p.field("checkpoint", fmt.Sprintf("%s, size %d, epoch %d", cp.Origin, cp.Size, cp.Epoch))
		}
		if cp := r.Trusted; cp != nil {
			p.field("continues", fmt.Sprintf("the one kept here, size %d", cp.Size))
		}
		if r.Unsequenced > 0 {
			p.field("to come", plural(int(r.Unsequenced), "entry has no number yet", "entries have no number yet"))
		}
		if r.Bad != nil {
			p.field("first bad", p.style.bad(r.Bad.String()))
		}
	}})
	if err == nil && !r.OK {
		return outcome(ExitError)
	}
	return err
}
