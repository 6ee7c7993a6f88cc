package resolve

import (
	"context"
	"net/url"
	"strings"

	"github.com/towpath/towpath/internal/pin"
	"github.com/towpath/towpath/internal/towpath"
)

// registryModule finds the newest version that is allowed in a registry of
// modules. The registry's word for it that a version never changes is taken: it
// names no digest.
// https://developer.hashicorp.com/terraform/internals/module-registry-protocol
func (r *Resolver) registryModule(ctx context.Context, ref towpath.External, e *pin.Entry) error {
	const op = "resolve.module"
	m, ok := pin.RegistryModule(ref.Source)
	if !ok {
		return towpath.E(towpath.KindInvalid, op, "%s is no module of a registry", ref)
	}
	scheme := "https"
	if onLoopback(m.Host) {
		scheme = "http"
	}
	host := &url.URL{Scheme: scheme, Host: m.Host, Path: "/"}
	token := r.cfg.Getenv("TF_TOKEN_" + strings.NewReplacer(".", "_", "-", "__").Replace(strings.Split(m.Host, ":")[0]))
	var services map[string]any
	discovery := host.JoinPath(".well-known", "terraform.json")
	if err := r.getJSON(ctx, op, discovery.String(), token, &services); err != nil {
		return err
	}
	at, _ := services["modules.v1"].(string)
	base, err := discovery.Parse(at)
	if at == "" || err != nil {
		return towpath.E(towpath.KindUnavailable, op, "%s is no registry of modules", m.Host).WithHint("check the address of %s", ref)
	}
	if base.Host != m.Host {
		token = "" // it is the other host's
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
