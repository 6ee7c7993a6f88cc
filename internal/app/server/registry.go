package server

import (
	"cmp"
	"context"
	"path/filepath"

	"github.com/towpath/towpath/internal/blob"
	"github.com/towpath/towpath/internal/registry"
	"github.com/towpath/towpath/internal/release"
	"github.com/towpath/towpath/internal/replicate"
	"github.com/towpath/towpath/internal/replication"
	"github.com/towpath/towpath/internal/store"
	"github.com/towpath/towpath/internal/towpath"
)

// registry makes the registry over the same blobs as the releases.
func (s *Server) registry(releases *release.Service, at place, replicas registry.Replicas) *registry.Service {
	return registry.New(registry.Config{Now: s.cfg.Now, Replicas: replicas}, store.For[registry.Tx](s.store), at.blobs, at.staging, protection{releases}, releases)
}

// protection tells the registry which releases are needed. One transaction
// serves both use cases; each sees its own part of it.
type protection struct{ releases *release.Service }

// Protected implements [registry.Protection].
func (p protection) Protected(ctx context.Context, tx registry.Tx, project towpath.ProjectName, d towpath.Digest) (string, error) {
	both, ok := tx.(release.Tx)
	if !ok {
		return "", towpath.E(towpath.KindInternal, "server.registry", "the registry's transaction is not one of releases")
	}
	return p.releases.Protected(ctx, both, project, d)
}

// registryLogins finds the logins at other registries that the server was given.
func (s *Server) registryLogins() (func(ctx context.Context, host string) (replicate.Login, error), error) {
	return replicate.DockerLogins(cmp.Or(s.cfg.RegistryAuth, filepath.Join(s.cfg.Data, "registry-auth.json")))
}

// replication makes the loop that copies releases to other registries.
func (s *Server) replication(blobs blob.Store) (*replication.Service, error) {
	logins, err := s.registryLogins()
	if err != nil {
		return nil, err
	}
	return replication.New(replication.Config{Now: s.cfg.Now, Connect: func(r towpath.ReplicationRule) (replication.Target, error) {
		return replicate.NewRemote(replicate.RemoteConfig{
			Repository: r.To, PlainHTTP: r.PlainHTTP, Login: logins, UserAgent: "towpath/" + s.cfg.Version,
		})
	}}, store.For[replication.Tx](s.store), blobs), nil
}

// tidy puts older releases into the registry and gives up what uploads left;
// again: there may be more to do.
func tidy(ctx context.Context, releases *release.Service, artifacts *registry.Service) (bool, error) {
	more, err := releases.Shelve(ctx)
	if err != nil {
		return false, err
	}
	again, err := artifacts.Expire(ctx)
	return more || again, err
}
