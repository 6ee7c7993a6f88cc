// Package audit lets people read, verify and take away the ledger. It
// authorises; the ledger does the rest.
package audit

import (
	"context"
	"io"

	"github.com/towpath/towpath/internal/access"
	"github.com/towpath/towpath/internal/ledger"
	"github.com/towpath/towpath/internal/towpath"
)

// Service is the use case.
type Service struct{ ledger *ledger.Ledger }

// New makes the service.
func New(l *ledger.Ledger) *Service { return &Service{l} }

// Events lists entries. An actor who may not read all of the ledger has to
// name the project.
func (s *Service) Events(ctx context.Context, actor towpath.Actor, f ledger.Filter) ([]ledger.Entry, error) {
	if err := access.Check(actor, access.AuditRead, access.Subject{Project: f.Project, Environment: f.Environment}); err != nil {
		return nil, err
	}
	return s.ledger.List(ctx, f)
}

// Verify recomputes the whole ledger, against a checkpoint that the caller
// kept, if any.
func (s *Service) Verify(ctx context.Context, actor towpath.Actor, trusted string) (ledger.Report, error) {
	if err := access.Check(actor, access.AuditRead, access.Subject{}); err != nil {
		return ledger.Report{}, err
	}
	var opts ledger.VerifyOptions
	if trusted != "" {
		cp, err := s.ledger.Verifier().Open(trusted)
		if err != nil {
			return ledger.Report{}, towpath.E(towpath.KindInvalid, "audit.verify", "the checkpoint that you kept is not signed by this server's key").
				WithHint("the server's key was replaced, or this is another server; find out which before you trust it").WithCause(err)
		}
		opts.Trusted = &cp
	}
	return s.ledger.Verify(ctx, opts)
}

// Checkpoint is the newest signed checkpoint and the key to check it with.
func (s *Service) Checkpoint(ctx context.Context, actor towpath.Actor) (checkpoint, publicKey string, err error) {
	if actor.Account == "" {
		return "", "", towpath.E(towpath.KindUnauthenticated, "audit.checkpoint", "sign in first")
	}
	checkpoint, _, err = s.ledger.Checkpoint(ctx)
	return checkpoint, s.ledger.PublicKey(), err
}

// Export writes the whole ledger; a part of it could not be verified.
func (s *Service) Export(ctx context.Context, actor towpath.Actor, _ towpath.ProjectName, w io.Writer) error {
	if err := access.Check(actor, access.AuditRead, access.Subject{}); err != nil {
		return err
	}
	return s.ledger.Export(ctx, w)
}
