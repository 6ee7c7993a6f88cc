package inventory

import (
	"context"

	"github.com/towpath/towpath/internal/gate"
	"github.com/towpath/towpath/internal/towpath"
)

// matrix adds what each environment's release needs, and what it finds. A
// release whose content can't be read says nothing; its agent will complain.
func (s *Service) matrix(ctx context.Context, all []Status) error {
	for i := range all {
		st := &all[i]
		if st.Release == "" {
			continue
		}
		content, err := s.contents.Content(ctx, st.Project, st.Release)
		if err != nil || len(content.Requires) == 0 {
			continue
		}
		err = s.store.View(ctx, func(ctx context.Context, tx Tx) error {
			st.Requires = nil
			for _, r := range content.Requires {
				row, err := satisfied(ctx, tx, st.Environment, r)
				if err != nil {
					return err
				}
				st.Requires = append(st.Requires, row)
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// satisfied looks for what is required in the environment of that name.
func satisfied(ctx context.Context, tx Tx, name towpath.EnvironmentName, r towpath.Requirement) (RequirementStatus, error) {
	row := RequirementStatus{Requirement: r}
	env, err := tx.Environment(ctx, r.Project, name)
	if towpath.KindOf(err) == towpath.KindNotFound {
		return row, nil
	}
	if err != nil {
		return row, err
	}
	row.Found = env.Version
	if r.Component != "" {
		running, err := tx.Running(ctx, r.Project, name)
		if err != nil {
			return row, err
		}
		row.Found = ""
		for _, x := range running {
			if x.Component == r.Component && x.Revision != "" {
				row.Found = env.Version
			}
		}
	}
	if row.Found == "" {
		return row, nil
	}
	row.Satisfied, err = gate.Satisfies(row.Found, r.Versions)
	return row, err
}
