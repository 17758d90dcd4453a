package etcdoption

// Kind is what etcd decodes an option's value into.
type Kind int

// The kinds. A Duration is a number of nanoseconds in etcd's file; a Block is
// a map, which extra_options cannot hold.
const (
	Text Kind = iota
	Bool
	Uint
	Int
	Duration
	List
	Block
)

type entry struct {
	name   string
	kind   Kind
	minors string // the 3.x that have it
}

// entries are all options of etcd's configuration file, 3.4 to 3.7: the json
// tags and types of embed.Config and its configJSON in the sources of 3.4.45,
// 3.5.0 to 3.5.35, 3.6.0 to 3.6.16 and 3.7.0 to 3.7.3 (embed/config.go). What
// any release of a series has stands for the series. A test compares 3.7's with
// the etcd inside kvserver.
var entries = []entry{
	{"advertise-client-urls", Text, "4567"},
	{"auth-token", Text, "4567"},
	{"auth-token-ttl", Uint, "4567"},
	{"auto-compaction-mode", Text, "4567"},
	{"auto-compaction-retention", Text, "4567"},
	{"backend-batch-interval", Duration, "4567"},
	{"backend-batch-limit", Int, "4567"},
	{"backend-bbolt-freelist-type", Text, "567"},
	{"bcrypt-cost", Uint, "4567"},
	{"bootstrap-defrag-threshold-megabytes", Uint, "67"},
	{"cipher-suites", List, "4567"},
	{"client-transport-security", Block, "4567"},
	{"compact-hash-check-time", Duration, "67"},
	{"compaction-batch-limit", Int, "67"},
	{"compaction-sleep-interval", Duration, "67"},
	{"corrupt-check-time", Duration, "67"},
	{"cors", Text, "4567"},
	{"data-dir", Text, "4567"},
	{"debug", Bool, "4"},
	{"discovery", Text, "456"},
	{"discovery-config", Block, "67"},
	{"discovery-proxy", Text, "456"},
	{"discovery-srv", Text, "4567"},
	{"discovery-srv-name", Text, "4567"},
	{"distributed-tracing-address", Text, "67"},
	{"distributed-tracing-instance-id", Text, "67"},
	{"distributed-tracing-sampling-rate", Int, "67"},
	{"distributed-tracing-service-name", Text, "67"},
	{"downgrade-check-time", Duration, "67"},
	{"election-timeout", Uint, "4567"},
	{"enable-distributed-tracing", Bool, "67"},
	{"enable-grpc-gateway", Bool, "4567"},
	{"enable-log-rotation", Bool, "567"},
	{"enable-pprof", Bool, "4567"},
	{"enable-v2", Bool, "45"},
	{"experimental-backend-bbolt-freelist-type", Text, "4"},
	{"experimental-bootstrap-defrag-threshold-megabytes", Uint, "56"},
	{"experimental-compact-hash-check-enabled", Bool, "56"},
	{"experimental-compact-hash-check-time", Duration, "56"},
	{"experimental-compaction-batch-limit", Int, "456"},
	{"experimental-compaction-sleep-interval", Duration, "56"},
	{"experimental-corrupt-check-time", Duration, "456"},
	{"experimental-distributed-tracing-address", Text, "56"},
	{"experimental-distributed-tracing-instance-id", Text, "56"},
	{"experimental-distributed-tracing-sampling-rate", Int, "56"},
	{"experimental-distributed-tracing-service-name", Text, "56"},
	{"experimental-downgrade-check-time", Duration, "56"},
	{"experimental-enable-distributed-tracing", Bool, "56"},
	{"experimental-enable-lease-checkpoint", Bool, "456"},
	{"experimental-enable-lease-checkpoint-persist", Bool, "456"},
	{"experimental-enable-v2v3", Text, "45"},
	{"experimental-initial-corrupt-check", Bool, "456"},
	{"experimental-memory-mlock", Bool, "56"},
	{"experimental-peer-skip-client-san-verification", Bool, "6"},
	{"experimental-snapshot-catch-up-entries", Uint, "56"},
	{"experimental-stop-grpc-service-on-defrag", Bool, "56"},
	{"experimental-txn-mode-write-with-shared-buffer", Bool, "56"},
	{"experimental-warning-apply-duration", Duration, "456"},
	{"experimental-warning-unary-request-duration", Duration, "6"},
	{"experimental-watch-progress-notify-interval", Duration, "456"},
	{"feature-gates", Text, "67"},
	{"force-new-cluster", Bool, "4567"},
	{"grpc-additional-server-options", Block, "67"},
	{"grpc-keepalive-interval", Duration, "4567"},
	{"grpc-keepalive-min-time", Duration, "4567"},
	{"grpc-keepalive-timeout", Duration, "4567"},
	{"heartbeat-interval", Uint, "4567"},
	{"host-whitelist", Text, "4567"},
	{"initial-advertise-peer-urls", Text, "4567"},
	{"initial-cluster", Text, "4567"},
	{"initial-cluster-state", Text, "4567"},
	{"initial-cluster-token", Text, "4567"},
	{"initial-election-tick-advance", Bool, "4567"},
	{"listen-client-http-urls", Text, "4567"},
	{"listen-client-urls", Text, "4567"},
	{"listen-metrics-urls", Text, "4567"},
	{"listen-peer-urls", Text, "4567"},
	{"log-format", Text, "67"},
	{"log-level", Text, "4567"},
	{"log-output", List, "4"},
	{"log-outputs", List, "4567"},
	{"log-package-levels", Text, "4"},
	{"log-rotation-config-json", Text, "567"},
	{"logger", Text, "4567"},
	{"max-concurrent-streams", Uint, "4567"},
	{"max-learners", Int, "67"},
	{"max-request-bytes", Uint, "4567"},
	{"max-snapshots", Uint, "4567"},
	{"max-txn-ops", Uint, "4567"},
	{"max-wals", Uint, "4567"},
	{"memory-mlock", Bool, "67"},
	{"metrics", Text, "4567"},
	{"name", Text, "4567"},
	{"next-cluster-version-compatible", Bool, "4"},
	{"peer-transport-security", Block, "4567"},
	{"pre-vote", Bool, "4567"},
	{"quota-backend-bytes", Int, "4567"},
	{"self-signed-cert-validity", Uint, "567"},
	{"snapshot-catchup-entries", Uint, "67"},
	{"snapshot-count", Uint, "4567"},
	{"socket-options", Block, "567"},
	{"strict-reconfig-check", Bool, "4567"},
	{"tls-max-version", Text, "4567"},
	{"tls-min-version", Text, "4567"},
	{"unsafe-no-fsync", Bool, "4567"},
	{"v2-deprecation", Text, "567"},
	{"wal-dir", Text, "4567"},
	{"warning-apply-duration", Duration, "67"},
	{"warning-unary-request-duration", Duration, "67"},
	{"watch-progress-notify-interval", Duration, "67"},
}

// cipherSuites are the names that etcd takes: those of Go's crypto/tls, which a test
// compares, and two of its own (client/pkg/tlsutil).
var cipherSuites = []string{
	"TLS_AES_128_GCM_SHA256",
	"TLS_AES_256_GCM_SHA384",
	"TLS_CHACHA20_POLY1305_SHA256",
	"TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA",
	"TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA",
	"TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA",
	"TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA",
	"TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
	"TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
	"TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
	"TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
	"TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
	"TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
	"TLS_RSA_WITH_RC4_128_SHA",
	"TLS_RSA_WITH_3DES_EDE_CBC_SHA",
	"TLS_RSA_WITH_AES_128_CBC_SHA",
	"TLS_RSA_WITH_AES_256_CBC_SHA",
	"TLS_RSA_WITH_AES_128_CBC_SHA256",
	"TLS_RSA_WITH_AES_128_GCM_SHA256",
	"TLS_RSA_WITH_AES_256_GCM_SHA384",
	"TLS_ECDHE_ECDSA_WITH_RC4_128_SHA",
	"TLS_ECDHE_RSA_WITH_RC4_128_SHA",
	"TLS_ECDHE_RSA_WITH_3DES_EDE_CBC_SHA",
	"TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256",
	"TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256",
	"TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305",
	"TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305",
}
