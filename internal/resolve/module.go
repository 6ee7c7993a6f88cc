package resolve

import (
	"context"
	"net/url"
	"strings"

	"github.com/towpath/towpath/internal/loopback"
	"github.com/towpath/towpath/internal/pin"
	"github.com/towpath/towpath/internal/towpath"
)

// registryModule finds the newest version that is allowed in a registry of
// modules. The registry's word for it that a version never changes is taken: it
// names no digest.
// https://developer.hashicorp.com/terraform/internals/module-registry-protocol
func (r *Resolver) registryModule(ctx context.Context, ref towpath.External, e *towpath.Pin) error {
	const op = "resolve.module"
	m, ok := pin.RegistryModule(ref.Source)
	if !ok {
		return towpath.E(towpath.KindInvalid, op, "%s is no module of a registry", ref)
	}
	base, token, err := r.service(ctx, op, ref, m.Host, "modules.v1")
	if err != nil {
		return err
	}
	var answer struct {
		Modules []struct {
			Versions []struct{ Version string }
		}
	}
	if err := r.getJSON(ctx, op, base.JoinPath(m.Namespace, m.Name, m.Provider, "versions").String(), token, &answer); err != nil {
		return err
	}
	var versions []string
	for _, x := range answer.Modules[:min(1, len(answer.Modules))] { // the others are what it needs
		for _, v := range x.Versions {
			versions = append(versions, v.Version)
		}
	}
	if e.Version, ok = pin.Newest(ref, versions); !ok {
		return noVersion(op, ref, len(versions))
	}
	return nil
}

// provider finds the newest version of a provider that is allowed. Its registry
// has digests of archives, one for each platform: those are for Terraform's own
// lock file.
// https://developer.hashicorp.com/terraform/internals/provider-registry-protocol
func (r *Resolver) provider(ctx context.Context, ref towpath.External, e *towpath.Pin) error {
	const op = "resolve.provider"
	parts := strings.Split(ref.Source, "/")
	if len(parts) == 2 {
		parts = append([]string{pin.DefaultRegistry}, parts...)
	}
	if len(parts) != 3 {
		return towpath.E(towpath.KindInvalid, op, "%s is no provider of a registry", ref)
	}
	base, token, err := r.service(ctx, op, ref, parts[0], "providers.v1")
	if err != nil {
		return err
	}
	var answer struct{ Versions []struct{ Version string } }
	if err := r.getJSON(ctx, op, base.JoinPath(parts[1], parts[2], "versions").String(), token, &answer); err != nil {
		return err
	}
	var versions []string
	for _, v := range answer.Versions {
		versions = append(versions, v.Version)
	}
	var ok bool
	if e.Version, ok = pin.Newest(ref, versions); !ok {
		return noVersion(op, ref, len(versions))
	}
	return nil
}

// service is where a host of Terraform's registries has one, and the token to
// ask it with.
func (r *Resolver) service(ctx context.Context, op string, ref towpath.External, hostname, name string) (base *url.URL, token string, err error) {
	scheme := "https"
	if loopback.Host(hostname) {
		scheme = "http"
	}
	host := &url.URL{Scheme: scheme, Host: hostname, Path: "/"}
	token = r.cfg.Getenv("TF_TOKEN_" + strings.NewReplacer(".", "_", "-", "__").Replace(strings.Split(hostname, ":")[0]))
	var services map[string]any
	discovery := host.JoinPath(".well-known", "terraform.json")
	if err := r.getJSON(ctx, op, discovery.String(), token, &services); err != nil {
		return nil, "", err
	}
	at, _ := services[name].(string)
	base, err = discovery.Parse(at)
	if at == "" || err != nil {
		return nil, "", towpath.E(towpath.KindUnavailable, op, "%s has no such registry (%s)", hostname, name).WithHint("check the address of %s", ref)
	}
	if base.Host != hostname {
		token = "" // it is the other host's
	}
	return base, token, nil
}
