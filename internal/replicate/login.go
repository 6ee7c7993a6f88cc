package replicate

import (
	"context"

	"oras.land/oras-go/v2/registry/remote/credentials"

	"github.com/towpath/towpath/internal/towpath"
)

// DockerLogins finds logins where the usual clients of registries keep them: the
// configuration file of docker, and the credential helpers that it names.
func DockerLogins() (func(ctx context.Context, host string) (Login, error), error) {
	const op = "replicate.login"
	store, err := credentials.NewStoreFromDocker(credentials.StoreOptions{})
	if err != nil {
		return nil, towpath.E(towpath.KindInvalid, op, "the configuration file of docker can't be read").WithCause(err).
			WithHint("look at ~/.docker/config.json, or at $DOCKER_CONFIG")
	}
	find := credentials.Credential(store)
	return func(ctx context.Context, host string) (Login, error) {
		c, err := find(ctx, host)
		switch {
		case err != nil:
			return Login{}, towpath.E(towpath.KindUnauthenticated, op, "the login of a registry can't be had").On(host).WithCause(err).
				WithHint("look at the credential helper that ~/.docker/config.json names, or give --username and --password-stdin")
		case c.RefreshToken != "":
			return Login{User: identityToken, Password: c.RefreshToken}, nil
		}
		return Login{User: c.Username, Password: c.Password}, nil
	}, nil
}
