package agent

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/mod/sumdb/note"

	"github.com/towpath/towpath/internal/agentrpc"
	"github.com/towpath/towpath/internal/oci"
	"github.com/towpath/towpath/internal/towpath"
)

// authorise checks that what the server asks for is what was approved: signed
// by the key that this agent trusts, for this deployment and environment, and
// for this release (or, to go back, for those that ran before it), and that files and
// settings are those of its revision. A rollback that nobody approved may only go
// to a revision that has had the traffic here.
func (a *Agent) authorise(op towpath.Operation) (auth agentrpc.Authorisation, err error) {
	if op.Verb == towpath.VerbPlan {
		return auth, nil
	}
	refuse := func(format string, args ...any) (agentrpc.Authorisation, error) {
		return auth, towpath.E(towpath.KindForbidden, "agent.authorise", "the agent refuses the operation: "+format, args...).On(string(op.ID))
	}
	key := a.trusted.Load()
	if key == nil {
		return refuse("it trusts no server yet")
	}
	if op.Spec.Authorisation == "" {
		return refuse("it carries no authorisation")
	}
	if auth, err = agentrpc.VerifyAuthorisation(op.Spec.Authorisation, key.verifier); err != nil {
		return auth, err
	}
	back := []towpath.Verb{towpath.VerbRestore, towpath.VerbRetire}
	switch t := op.Target; {
	case auth.Project != t.Project || auth.Environment != t.Environment:
		return refuse("its authorisation is for %s/%s", auth.Project, auth.Environment)
	case auth.Deployment != op.Deployment || op.Deployment == "":
		return refuse("its authorisation is for deployment %s", auth.Deployment)
	case auth.Kind != towpath.DeploymentPromotion && auth.Kind != towpath.DeploymentRollback && auth.Kind != towpath.DeploymentRepair:
		return refuse("its authorisation is of the unknown kind %q", auth.Kind)
	case (auth.Kind == towpath.DeploymentRepair) != (op.Verb == towpath.VerbRepair):
		return refuse("its authorisation is of a %s, which has no step %s", auth.Kind, op.Verb)
	case op.Verb == towpath.VerbRemove:
		return auth, nil
	case !fits(op.Spec):
		return refuse("its files and settings are not those of its revision %s", op.Spec.Revision)
	case auth.Kind == towpath.DeploymentRepair && a.journal.lastSwitched(t) != op.Spec.Revision:
		return refuse("a repair brings back what runs, and its revision %s is not what was last switched to here", op.Spec.Revision)
	case auth.Release != op.Spec.Release &&
		(op.Spec.Release == "" || !slices.Contains(append(auth.Earlier, auth.Previous), op.Spec.Release) || !slices.Contains(back, op.Verb)):
		return refuse("its authorisation is for release %s", auth.Release)
	case auth.Kind == towpath.DeploymentRollback && len(auth.Approvers) == 0 && !a.journal.switched(t, op.Spec.Revision):
		return refuse("nobody approved this rollback, and its revision %s never ran here", op.Spec.Revision)
	}
	return auth, nil
}

// fits reports whether the kind, files and settings of a spec make its revision.
// What was checked of a revision then holds for all that is done by its name.
func fits(s towpath.OperationSpec) bool {
	if towpath.RevisionOf(s.Kind, s.Layer, s.Rendered) == s.Revision {
		return true
	}
	canonical, err := oci.Canonical(s.Rendered) // on its way it may have been written otherwise
	return err == nil && towpath.RevisionOf(s.Kind, s.Layer, canonical) == s.Revision
}

// loadTrust reads the key that is configured or was kept.
func (a *Agent) loadTrust() error {
	text := a.cfg.TrustedKey
	if text == "" {
		b, err := os.ReadFile(a.trustPath())
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return towpath.E(towpath.KindUnavailable, "agent.trust", "the trusted key can't be read").On(a.trustPath()).WithCause(err)
		}
		text = string(b)
	}
	return a.trust(strings.TrimSpace(text))
}

func (a *Agent) trustPath() string { return filepath.Join(a.cfg.Dir, "trust", "server.pub") }

func (a *Agent) trust(text string) error {
	v, err := note.NewVerifier(text)
	if err != nil {
		return towpath.E(towpath.KindInvalid, "agent.trust", "the server's key is not a verifier key").WithCause(err).
			WithHint("it looks like name+hash+key; `towpath audit export` and the server's log show it")
	}
	a.trusted.Store(&trustedKey{text: text, verifier: v})
	return nil
}

// meet compares a server's key with the trusted one, and keeps the first one
// that the agent ever sees.
func (a *Agent) meet(serverKey string) error {
	if key := a.trusted.Load(); key != nil {
		if key.text == serverKey {
			return nil
		}
		return towpath.E(towpath.KindForbidden, "agent.trust", "the server's key is not the one that this agent trusts").
			WithHint("if the server's key was replaced on purpose, configure the new one or remove %s", a.trustPath())
	}
	if err := a.trust(serverKey); err != nil {
		return err
	}
	err := os.MkdirAll(filepath.Dir(a.trustPath()), 0o700)
	if err == nil {
		err = replaceFile(a.trustPath(), []byte(serverKey+"\n"))
	}
	if err != nil {
		a.trusted.Store(nil)
		return towpath.E(towpath.KindUnavailable, "agent.trust", "the server's key can't be kept").On(a.trustPath()).WithCause(err)
	}
	return nil
}

func replaceFile(path string, b []byte) error {
	f, err := os.OpenFile(path+".new", os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err == nil {
		err = syncDir(filepath.Dir(path))
	}
	return err
}
