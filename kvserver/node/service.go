package node

import "time"

// ConfigDigestEnv is the environment variable that carries the kvserver.ConfigDigest
// a member was started with. kvserver sets it itself, from the bytes it read,
// before the member starts; so /proc/PID/environ tells what runs, not what
// lies on disk.
const ConfigDigestEnv = "QUORATE_CONFIG_DIGEST"

// Service is a service file: what systemd's unit is on a host without a service
// manager. Package templates writes it, kvserver's supervisor follows it.
type Service struct {
	Argv []string          `json:"argv"`          // argv[0] is a path
	Env  map[string]string `json:"env,omitempty"` // on top of the supervisor's own; no secrets
	Dir  string            `json:"dir"`
	// FormedArgv is run each time the child says that it is ready, before the
	// state file says so, with the child's environment and folder. What it
	// prints and how it fails goes to the log; it never ends the child. Empty: nothing is run.
	FormedArgv []string `json:"formed_argv,omitempty"`
	// LogFile takes the output of child and supervisor, appended; empty: the supervisor's standard error.
	LogFile string `json:"log_file"`
	// PIDFile holds the supervisor's pid, and its flock as long as it lives.
	PIDFile string `json:"pid_file"`
	// StateFile holds a [ServiceState].
	StateFile string `json:"state_file"`
	// RestartDelayMS is the wait before a child that failed is started again.
	RestartDelayMS int64 `json:"restart_delay_ms"`
	// StopTimeoutMS is the time between SIGTERM and SIGKILL.
	StopTimeoutMS int64 `json:"stop_timeout_ms"`
}

// ServiceState is what the supervisor writes into the state file, atomically, at
// every change. It counts only while the pid file's flock is held.
type ServiceState struct {
	SupervisorPID int `json:"supervisor_pid"`
	PID           int `json:"pid"` // of the child, 0 if none runs
	// StartedAt is when the child was.
	StartedAt time.Time `json:"started_at"`
	// Ready: the child has said so, and FormedArgv has been run.
	Ready bool `json:"ready"`
	// Exe is what the child runs; ExeDigest its sha256 (a moment after Ready);
	// ConfigDigest what the child says it runs with. Empty when not known.
	Exe          string `json:"exe"`
	ExeDigest    string `json:"exe_digest"`
	ConfigDigest string `json:"config_digest"`
	// Restarts counts the failures since the supervisor started.
	Restarts int `json:"restarts"`
	// LastExit is the exit status of the last child that ended: 128 + the
	// signal if one ended it, 127 if it could not be started; 0 also when it
	// ended because it was asked to.
	LastExit int `json:"last_exit"`
}
