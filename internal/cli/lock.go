package cli

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/towpath/towpath/internal/towpath"
)

func newLock(s *session) *cobra.Command {
	var r LockRequest
	cmd := &cobra.Command{
		Use: "lock", Short: "Pin images, charts and modules from outside in towpath.lock",
		Long: "Finds what the project takes from outside: what its components declare under uses, and the images and charts that their files " +
			"name. Asks registries and repositories what is not pinned yet, writes it into towpath.lock, and says what changed. A pin stays " +
			"as it is until --update names it. Commit the file: a build asks nobody, and refuses a release with references that can still move.\n\n" +
			"It reads the work tree, committed or not. Credentials for registries of images and charts are docker's (docker login), those for git " +
			"are git's, those for registries of modules are in TF_TOKEN_….\n\n" +
			"With --check nothing is written and nobody is asked (with --update or --update-all, whoever has to be): it exits 2 when the file would " +
			"change, or when a release would be refused for a reference.",
		Example: "  towpath lock\n  towpath lock --update redis --dry-run\n  towpath lock --check",
		Args:    positional(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			r.Dir = s.flags.dir
			return s.runLock(cmd.Context(), r)
		},
	}
	f := cmd.Flags()
	f.StringArrayVar(&r.Update, "update", nil, "let this pin move: a reference, an image without its tag, or a name under uses; can be given again")
	f.BoolVar(&r.All, "update-all", false, "let every pin move")
	f.BoolVar(&r.Check, "check", false, "write nothing; exit 2 when something would change")
	f.BoolVar(&r.DryRun, "dry-run", false, "write nothing; say what would change")
	return cmd
}

func (s *session) runLock(ctx context.Context, r LockRequest) error {
	if s.apps.Lock == nil {
		return missing("lock")
	}
	l, err := s.apps.Lock(ctx, r)
	if err != nil {
		return err
	}
	out := result{data: l, show: func(p *page) { showLocked(p, l, r) }}
	for _, c := range l.Changes {
		out.names = append(out.names, c.Name)
	}
	if err := s.print(out); err != nil {
		return err
	}
	for _, x := range l.Loose {
		if x.Name != "" {
			x.Name += ": "
		}
		s.say("%s %s: %s%s", s.style.warn("warning:"), x.Place, x.Name, x.Why)
	}
	if len(l.Loose) > 0 {
		s.say("a release is refused for such references; what has to move for a time is excepted under pins in %s", projectFile)
	}
	if r.Check && (len(l.Changes) > 0 || len(l.Loose) > 0 || l.Untidy) {
		return outcome(ExitChanges)
	}
	return nil
}

func showLocked(p *page, l Locked, r LockRequest) {
	counts := map[LockAction]int{}
	for _, last := range []bool{false, true} { // what is taken out comes last
		for _, c := range l.Changes {
			if (c.Action == LockRemove) != last {
				continue
			}
			counts[c.Action]++
			switch c.Action {
			case LockMissing:
				p.line("%s %s: not locked", p.style.warn("?"), p.style.bold(c.Name))
			case LockAdd:
				p.line("%s %s: %s", p.action(towpath.ActionCreate), p.style.bold(c.Name), c.To)
			case LockRemove:
				p.line("%s %s: %s", p.action(towpath.ActionRemove), p.style.bold(c.Name), c.From)
			case LockMove:
				p.line("%s %s: %s → %s", p.action(towpath.ActionReplace), p.style.bold(c.Name), c.From, c.To)
			}
		}
	}
	switch {
	case len(l.Changes) == 0 && !l.Untidy:
		p.line("%s is up to date", l.File)
	case l.Written:
		p.line("%s was written: added %d, moved %d, removed %d; commit it", l.File, counts[LockAdd], counts[LockMove], counts[LockRemove])
	case r.Check && counts[LockMissing]+counts[LockRemove] > 0:
		p.line("%s is out of date: missing %d, unused %d; run towpath lock", l.File, counts[LockMissing], counts[LockRemove])
	case len(l.Changes) == 0:
		p.line("%s would be written anew, with the same pins", l.File)
	default:
		p.line("nothing was written: would add %d, move %d, remove %d", counts[LockAdd], counts[LockMove], counts[LockRemove])
	}
}
