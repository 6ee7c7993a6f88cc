package deploy

import (
	"context"

	"github.com/towpath/towpath/internal/towpath"
)

// Asking is an environment, and whether what is deployed to it waits for a person.
type Asking struct {
	Project     towpath.ProjectName
	Environment towpath.EnvironmentName
	Asks        bool
}

// Asking says of every environment of every project whether what is deployed to it
// waits for a person. It is for who runs the server, and authorises nobody.
func (s *Service) Asking(ctx context.Context) (out []Asking, err error) {
	err = s.store.View(ctx, func(ctx context.Context, tx Tx) error {
		out, err = tx.Asking(ctx)
		return err
	})
	return out, err
}
