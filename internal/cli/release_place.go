package cli

import (
	"context"
	"net/url"

	"github.com/towpath/towpath/internal/http/rest/client"
	"github.com/towpath/towpath/internal/oci"
	"github.com/towpath/towpath/internal/replicate"
	"github.com/towpath/towpath/internal/towpath"
)

// ownRegistry is the repository of a project's releases on the server.
func (s *session) ownRegistry(project towpath.ProjectName) (*replicate.Remote, error) {
	return s.ownRepository(towpath.ReleaseRepository(project))
}

// ownRepository is a repository of the server's registry.
func (s *session) ownRepository(name towpath.RepositoryName) (*replicate.Remote, error) {
	set, err := s.settings()
	if err != nil {
		return nil, err
	}
	u, err := url.Parse(set.URL)
	if err != nil || (u.Path != "" && u.Path != "/") {
		return nil, towpath.E(towpath.KindInvalid, "", "the server's registry is at the root of its host, and the URL has a path").
			WithHint("give the URL without a path: --url https://towpath.example.com")
	}
	return replicate.NewRemote(replicate.RemoteConfig{
		Repository: u.Host + "/" + string(name), PlainHTTP: u.Scheme == "http", UserAgent: "towpath/" + s.apps.Version, Waits: s.waitsFor,
		Login: func(context.Context, string) (replicate.Login, error) {
			return replicate.Login{User: "towpath", Password: set.Token}, nil
		},
	})
}

// held is a release as a server holds it, to be taken elsewhere.
type held struct {
	project  towpath.ProjectName
	client   *client.Client
	release  towpath.Release
	versions []string
	source   replicate.Source
	graph    *replicate.Graph
}

// takeRelease finds a release on the server with everything that is about it. What it
// was published with goes along as one more thing that is about it, so that it
// can be published again elsewhere.
func (s *session) takeRelease(ctx context.Context, name string) (held, error) {
	c, project, err := s.target()
	if err != nil {
		return held{}, err
	}
	h := held{project: project, client: c}
	if h.release, err = c.Release(ctx, project, name); err != nil {
		return h, s.suggestRelease(ctx, c, project, name, err)
	}
	if !h.release.Collected.IsZero() {
		return h, towpath.E(towpath.KindNotFound, "", "the files of the release were given up").On(string(h.release.Digest)).
			WithHint("publish its commit again, then they are back")
	}
	if q := h.release.Quarantine; q != nil {
		s.say("%s the release is quarantined: %s", s.style.warn("warning:"), q.Reason)
	}
	for _, v := range h.release.Versions {
		h.versions = append(h.versions, v.Version)
	}
	own, err := s.ownRegistry(project)
	if err != nil {
		return h, err
	}
	root, err := own.Resolve(ctx, s.patiently(), string(h.release.Digest))
	if err != nil {
		return h, err
	}
	records, err := candidateRecords(ctx, c, h.release, root.Size)
	if err != nil {
		return h, err
	}
	h.source = replicate.NewOverlay(own, root.Digest, records)
	h.graph, err = replicate.Walk(ctx, h.source, root, s.patiently())
	return h, err
}

// candidateRecords are what a release was published with, each time.
func candidateRecords(ctx context.Context, c *client.Client, r towpath.Release, size int64) ([]oci.Attachment, error) {
	var all []oci.Attachment
	for _, x := range r.Candidates {
		p, err := c.Provenance(ctx, r.Project, string(x.ID))
		if err != nil {
			return nil, err
		}
		if towpath.DigestOf(p.Statement) != x.Provenance {
			return nil, towpath.E(towpath.KindConflict, "", "the server answered another provenance than %s", x.Provenance).On(string(x.ID)).
				WithHint("its copy is damaged: publish the commit again")
		}
		a, err := oci.AttachCandidate(oci.Blob{Digest: r.Digest, Size: size}, oci.CandidateRecord{
			Commit: x.Commit, Ref: x.Ref, Version: x.Version, Provenance: p.Statement,
		})
		if err != nil {
			return nil, err
		}
		all = append(all, a)
	}
	return all, nil
}

// tags are the names of a release where a name is a tag.
func tags(versions []string) []string {
	var all []string
	for _, v := range versions {
		if t := towpath.VersionTag(v); t != "" {
			all = append(all, t)
		}
	}
	return all
}
