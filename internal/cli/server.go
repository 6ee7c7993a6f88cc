package cli

import (
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/towpath/towpath/internal/signing"
	"github.com/towpath/towpath/internal/towpath"
)

func newServer(s *session) *cobra.Command {
	var o ServerOptions
	cmd := &cobra.Command{
		Use: "server", Short: "Run the control plane",
		Long: "Runs the server. It holds no credential of a place that it deploys to and runs no user's code. An address other than loopback needs TLS.\n\n" +
			"Blobs are in a folder of --data, or with --blobs in an S3-compatible store, whose credentials come from AWS_ACCESS_KEY_ID and\n" +
			"AWS_SECRET_ACCESS_KEY, a profile in ~/.aws/credentials, or the role of the machine; never from the URL.\n\n" +
			"Queries of objectives are answered by an engine in the server, over what agents push, unless --metrics-url names a source that\n" +
			"answers as Prometheus does. Several servers of one PostgreSQL hand each other what agents push.",
		Args: positional(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if s.apps.Server == nil {
				return missing("server")
			}
			if o.Database == "" {
				o.Database = s.env("TOWPATH_DATABASE")
			}
			if o.Blobs == "" {
				o.Blobs = s.env("TOWPATH_BLOBS")
			}
			if o.AttestationKey != "" && !strings.HasPrefix(o.AttestationKey, signing.ExecPrefix) {
				return usageError(cmd, towpath.E(towpath.KindInvalid, "", "--attestation-key names a program: exec:/usr/local/bin/signer").
					WithHint("leave it away for the key in --data"))
			}
			if o.Restored = strings.TrimSpace(o.Restored); cmd.Flags().Changed("restored") && o.Restored == "" {
				return usageError(cmd, towpath.E(towpath.KindInvalid, "", "--restored says where the database was restored from").
					WithHint("for example --restored \"backup of 1 November, 03:00\": the ledger keeps it"))
			}
			if o.MetricsURL == "" {
				o.MetricsURL = s.env("TOWPATH_METRICS_URL")
			}
			return s.apps.Server(cmd.Context(), s.terminal(), o)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.Data, "data", serverData, "folder for keys and, unless told otherwise, blobs and the SQLite file")
	f.StringVar(&o.Database, "database", "", "postgres:// URL (TOWPATH_DATABASE); empty: SQLite in --data")
	f.StringVar(&o.Blobs, "blobs", "", "s3://bucket/prefix?endpoint=https://host&region=name&path-style=true (TOWPATH_BLOBS); empty: a folder in --data")
	f.StringVar(&o.Listen, "listen", "127.0.0.1:7171", "address")
	f.StringVar(&o.TLSCert, "tls-cert", "", "file with the certificate")
	f.StringVar(&o.TLSKey, "tls-key", "", "file with its key")
	f.BoolVar(&o.AdminToken, "admin-token", false, "print a new token of the account admin, valid for a day: for who has lost theirs")
	f.StringVar(&o.Restored, "restored", "", "once, at the first start after a restore of the database: from which backup, and why; begins the ledger's next epoch")
	f.BoolVar(&o.PublicMetrics, "public-metrics", false, "serve /metrics without a token")
	f.StringVar(&o.RegistryAuth, "registry-auth", "", "file with the logins of registries that releases are copied to, as docker keeps them, read at each connection (default: registry-auth.json in --data)")
	f.StringVar(&o.AttestationKey, "attestation-key", "", "exec:PROGRAM that holds the key which signs how promotions ended (default: attestation.key in --data)")
	f.StringVar(&o.MetricsURL, "metrics-url", "", "Prometheus-compatible source that objectives are asked of, without /api/v1 (TOWPATH_METRICS_URL)")
	f.DurationVar(&o.MetricsRetention, "metrics-retention", 48*time.Hour, "how long samples are kept that agents push, when there is no --metrics-url")
	f.StringVar(&o.MetricsToken, "metrics-token-file", "", "file with the bearer token for --metrics-url")
	f.StringVar(&o.MetricsSources, "metrics-sources", "", "JSON file with sources of single projects and places, which come first")
	return cmd
}
