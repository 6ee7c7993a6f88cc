package replicate

import (
	"context"

	"oras.land/oras-go/v2/registry/remote/credentials"

	"github.com/towpath/towpath/internal/towpath"
)

// DockerLogins finds logins where the usual clients of registries keep them: a
// configuration file of docker, which need not be there, and the credential
// helpers that it names. It is read each time, so that a login that was added,
// changed or taken out counts from the next connection on.
func DockerLogins(file string) (func(ctx context.Context, host string) (Login, error), error) {
	const op = "replicate.login"
	open := func() (credentials.Store, error) {
		store, err := credentials.NewStore(file, credentials.StoreOptions{})
		if err != nil {
			return nil, towpath.E(towpath.KindInvalid, op, "the configuration file of docker can't be read").On(file).WithCause(err).
				WithHint("it is JSON with the members auths, credsStore and credHelpers")
		}
		return store, nil
	}
	if _, err := open(); err != nil {
		return nil, err
	}
	return func(ctx context.Context, host string) (Login, error) {
		store, err := open()
		if err != nil {
			return Login{}, err
		}
		c, err := credentials.Credential(store)(ctx, host)
		switch {
		case err != nil:
			return Login{}, towpath.E(towpath.KindUnauthenticated, op, "the login of a registry can't be had").On(host).WithCause(err).
				WithHint("look at the credential helper that docker's configuration names, or give --username and --password-stdin")
		case c.RefreshToken != "":
			return Login{User: identityToken, Password: c.RefreshToken}, nil
		}
		return Login{User: c.Username, Password: c.Password}, nil
	}, nil
}
