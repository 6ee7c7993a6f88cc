package server

import (
	"cmp"
	"context"
	"errors"
	"path/filepath"

	"github.com/towpath/towpath/internal/blob"
	places "github.com/towpath/towpath/internal/place"
	"github.com/towpath/towpath/internal/registry"
	"github.com/towpath/towpath/internal/release"
	"github.com/towpath/towpath/internal/replicate"
	"github.com/towpath/towpath/internal/replication"
	"github.com/towpath/towpath/internal/store"
	"github.com/towpath/towpath/internal/towpath"
)

// registry makes the registry over the same blobs as the releases.
func (s *Server) registry(releases *release.Service, at place, elsewhere *places.Service, replicas registry.Replicas) *registry.Service {
	return registry.New(registry.Config{Now: s.cfg.Now, Replicas: replicas, Away: elsewhere}, store.For[registry.Tx](s.store), elsewhere, at.staging, protection{releases}, releases)
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

// connect makes clients of other registries, with the logins that the server was
// given.
func (s *Server) connect() (func(r towpath.ReplicationRule) (*replicate.Remote, error), error) {
	logins, err := s.registryLogins()
	return func(r towpath.ReplicationRule) (*replicate.Remote, error) {
		return replicate.NewRemote(replicate.RemoteConfig{
			Repository: r.To, PlainHTTP: r.PlainHTTP, Login: logins, UserAgent: "towpath/" + s.cfg.Version,
		})
	}, err
}

// elsewhere is the store with the layers that live in other registries.
func (s *Server) elsewhere(at place) (*places.Service, error) {
	connect, err := s.connect()
	return places.New(places.Config{Now: s.cfg.Now, Connect: func(r towpath.ReplicationRule) (places.Registry, error) {
		return connect(r)
	}}, store.For[places.Tx](s.store), at.blobs), err
}

// replication makes the loop that copies releases to other registries.
func (s *Server) replication(blobs blob.Store, keeper replication.Keeper, said replication.Statements) (*replication.Service, error) {
	connect, err := s.connect()
	return replication.New(replication.Config{Now: s.cfg.Now, Keeper: keeper, Said: said, Own: s.installation(), Connect: func(r towpath.ReplicationRule) (replication.Target, error) {
		return connect(r)
	}}, store.For[replication.Tx](s.store), blobs), err
}

// inUse tells places which layers are needed; see [protection].
type inUse struct{ releases *release.Service }

// InUse implements [places.Releases].
func (u inUse) InUse(ctx context.Context, tx places.Tx, p towpath.ProjectName) (map[towpath.Digest]bool, error) {
	both, ok := tx.(release.Tx)
	if !ok {
		return nil, towpath.E(towpath.KindInternal, "server.place", "the transaction of places is not one of releases")
	}
	return u.releases.InUse(ctx, both, p)
}

// tidy puts older releases into the registry and gives up what uploads left;
// again: there may be more to do.
func tidy(ctx context.Context, releases *release.Service, artifacts *registry.Service) (bool, error) {
	more, err := releases.Shelve(ctx)
	again, eerr := artifacts.Expire(ctx)
	return more || again, errors.Join(err, eerr)
}
