package build

import (
	"bytes"
	"context"

	"github.com/towpath/towpath/internal/kind"
	"github.com/towpath/towpath/internal/oci"
	"github.com/towpath/towpath/internal/towpath"
)

// render puts the release together: every component rendered for every
// environment, the manifest over it, and beside it the bill of materials and the
// provenance.
func (r *run) render(ctx context.Context) error {
	c, err := r.content()
	if err != nil {
		return err
	}
	if err := r.scanContent(ctx, c); err != nil {
		return err
	}
	if err := r.refuseSecrets(); err != nil {
		return err
	}
	r.warnAllowed()
	if err := r.warnIgnored(ctx); err != nil {
		return err
	}
	enc, err := oci.Encode(c)
	if err != nil {
		return err
	}
	contentDigest, size, err := r.blobs.Put(ctx, "", bytes.NewReader(enc.Content), oci.MaxContent)
	if err != nil {
		return err
	}
	manifest, err := oci.ParseManifest(enc.Manifest)
	if err != nil {
		return err
	}
	res := &r.result
	res.Digest, res.Manifest, res.Content = enc.Digest, enc.Manifest, c
	res.ContentBlob = oci.Blob{Digest: contentDigest, Size: size}
	res.Layers = manifest.Layers
	res.Checked = r.req.Check
	for i, l := range r.layers {
		res.Files += l.Files
		res.Bytes += l.Size
		if l.cached {
			res.CacheHits++
		}
		res.Components = append(res.Components, ComponentResult{
			Name: r.units[i].name, Layer: l.Digest, Size: l.Size, Files: l.Files, Cached: l.cached, Duration: l.duration,
		})
	}
	if res.SBOM, err = r.sbom(ctx); err != nil {
		return err
	}
	res.Provenance, err = r.provenance()
	res.ProvenanceDigest = towpath.DigestOf(res.Provenance)
	return err
}

func (r *run) content() (*towpath.ReleaseContent, error) {
	c := &towpath.ReleaseContent{
		Schema: towpath.ReleaseSchema, Project: r.project.Project, Naming: r.project.Naming,
		Objectives: r.project.Objectives, Requires: r.project.Requires,
		Pins: r.releasePins(),
	}
	for i, u := range r.units {
		l := r.layers[i]
		if u.folder {
			c.Folders = append(c.Folders, towpath.ReleaseFolder{Role: string(u.name), Layer: l.Digest, Size: l.Size})
			continue
		}
		spec := r.project.Components[i]
		c.Components = append(c.Components, towpath.ReleaseComponent{
			Name: spec.Name, Kind: spec.Kind, DependsOn: spec.DependsOn, Rollout: spec.Rollout, Drift: spec.Drift, DriftRules: spec.DriftRules,
			Layer: l.Digest, Size: l.Size,
		})
	}
	for _, e := range r.project.Environments {
		env := towpath.ReleaseEnvironment{Rules: e.Rules()}
		for i, spec := range r.project.Components {
			rendered, err := r.renderOne(spec, e, r.layers[i].Digest)
			if err != nil {
				return nil, err
			}
			env.Components = append(env.Components, rendered)
		}
		c.Environments = append(c.Environments, env)
	}
	return c, nil
}

func (r *run) renderOne(spec towpath.ComponentSpec, e towpath.EnvironmentSpec, layer towpath.Digest) (towpath.RenderedComponent, error) {
	const op = "build.render"
	k, ok := r.kinds[spec.Kind]
	if !ok {
		return towpath.RenderedComponent{}, towpath.E(towpath.KindInvalid, op, "component %q has the kind %q, which this builder does not know", spec.Name, spec.Kind).
			On(string(spec.Name)).WithHint("use a builder with that kind, or correct the kind")
	}
	raw, err := k.Render(spec, e.Name, e.Components[spec.Name])
	if err != nil {
		return towpath.RenderedComponent{}, err
	}
	// The revision is a hash of these bytes, and so must be the release's.
	canonical, err := oci.Canonical(raw)
	if err != nil {
		return towpath.RenderedComponent{}, towpath.E(towpath.KindInternal, op, "component %q was rendered for %q as something that is not JSON", spec.Name, e.Name).
			On(string(spec.Name)).WithCause(err)
	}
	out := towpath.RenderedComponent{Name: spec.Name, Spec: canonical, Revision: towpath.RevisionOf(spec.Kind, layer, canonical)}
	if spec.Rollout.Strategy == towpath.StrategyRolling {
		counter, ok := k.(kind.Counter)
		if !ok {
			return out, towpath.E(towpath.KindInvalid, op, "component %q can't be replaced instance by instance: its kind %q has no instances", spec.Name, spec.Kind).
				On(string(spec.Name)).WithHint("choose another strategy for its rollout")
		}
		if out.Instances, err = counter.Instances(canonical); err == nil {
			err = checkBatches(spec, e.Name, out.Instances)
		}
	}
	return out, err
}

// checkBatches refuses a rolling update in more batches than there are shares
// of the traffic to tell them apart.
func checkBatches(spec towpath.ComponentSpec, e towpath.EnvironmentName, n int) error {
	batch := max(spec.Rollout.Batch(n), 1)
	if n <= towpath.MaxBatches*batch {
		return nil
	}
	least := (n + towpath.MaxBatches - 1) / towpath.MaxBatches
	return towpath.E(towpath.KindInvalid, "build.render", "component %q has %d instances in %q, which a rolling update can't replace %d at a time: "+
		"it takes at most %d batches, since each has a share of the traffic in whole percents", spec.Name, n, e, batch, towpath.MaxBatches).
		On(string(spec.Name)).WithHint("write surge: %d in its rollout, or more, or a part such as surge: 10%%", least)
}
