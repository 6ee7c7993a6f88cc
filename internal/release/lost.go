package release

import (
	"context"
	"errors"

	"github.com/towpath/towpath/internal/blob"
	"github.com/towpath/towpath/internal/oci"
	"github.com/towpath/towpath/internal/towpath"
)

// Lost lists what is not there of a release that an environment needs to run it:
// its manifest, its content and the layers of the components that it has. What is at
// a place of releases is there. Of a release whose content can't be read nobody knows
// which layers an environment needs, so none of them is looked for.
func (s *Service) Lost(ctx context.Context, p towpath.ProjectName, d towpath.Digest, e towpath.EnvironmentName) ([]towpath.LostPart, error) {
	var out []towpath.LostPart
	look := func(what string, d towpath.Digest, err error) error {
		if !gone(err) {
			return err
		}
		out = append(out, towpath.LostPart{What: what, Digest: d})
		return nil
	}
	// These two are small, and what they were once read as is kept.
	manifest, err := blob.ReadAll(ctx, s.blobs, d, oci.MaxManifest)
	if err := look("the manifest", d, err); err != nil {
		return nil, err
	}
	if err == nil {
		m, err := oci.ParseManifest(manifest)
		if err != nil {
			return nil, err
		}
		_, err = s.blobs.Stat(ctx, m.Config.Digest)
		if err := look("the content", m.Config.Digest, err); err != nil {
			return nil, err
		}
	}
	content, err := s.Content(ctx, p, d)
	if err != nil {
		if len(out) > 0 {
			return out, nil
		}
		return nil, err
	}
	env, _ := content.Environment(e)
	for _, x := range env.Components {
		c, _ := content.Component(x.Name)
		_, err := s.blobs.Stat(ctx, c.Layer)
		if err := look("the layer of "+string(c.Name), c.Layer, err); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// gone reports whether a blob is lost: it is not there, or is and is damaged.
func gone(err error) bool {
	return towpath.KindOf(err) == towpath.KindNotFound || errors.Is(err, blob.ErrDamaged)
}
