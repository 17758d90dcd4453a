package main

import (
	"context"
	"fmt"
	"strconv"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/apiserver/pkg/apis/example"
	"k8s.io/apiserver/pkg/apis/example/install"
	examplev1 "k8s.io/apiserver/pkg/apis/example/v1"
	"k8s.io/apiserver/pkg/registry/generic"
	"k8s.io/apiserver/pkg/storage"
	"k8s.io/apiserver/pkg/storage/cacher"
	"k8s.io/apiserver/pkg/storage/storagebackend"
	"k8s.io/apiserver/pkg/storage/storagebackend/factory"
	"k8s.io/client-go/tools/cache"
)

const (
	root   = "/registry"
	prefix = "/pods/"
)

// server is the storage of one resource as an API server puts it together (generic/registry's StorageWithCacher), and a reflector that lists and
// watches through it.
type server struct {
	etcd      storage.Interface
	cached    storage.Interface
	reflected *reflected
}

func newPod() runtime.Object     { return &example.Pod{} }
func newPodList() runtime.Object { return &example.PodList{} }

func keyOf(name string) string { return prefix + name }

func keyOfObject(o runtime.Object) (string, error) {
	pod, ok := o.(*example.Pod)
	if !ok {
		return "", fmt.Errorf("%T is no pod", o)
	}
	return keyOf(pod.Name), nil
}

func attributes(o runtime.Object) (labels.Set, fields.Set, error) {
	pod, ok := o.(*example.Pod)
	if !ok {
		return nil, nil, fmt.Errorf("%T is no pod", o)
	}
	return pod.Labels, generic.ObjectMetaFieldsSet(&pod.ObjectMeta, false), nil
}

func open(endpoints []string, cert, key, ca string) (*server, error) {
	scheme := runtime.NewScheme()
	metav1.AddToGroupVersion(scheme, metav1.SchemeGroupVersion)
	install.Install(scheme)
	codec := serializer.NewCodecFactory(scheme).LegacyCodec(examplev1.SchemeGroupVersion)
	pods := schema.GroupResource{Resource: "pods"}
	c := storagebackend.NewDefaultConfig(root, codec)
	c.Transport.ServerList, c.Transport.CertFile, c.Transport.KeyFile, c.Transport.TrustedCAFile = endpoints, cert, key, ca
	etcd, _, err := factory.Create(*c.ForResource(pods), newPod, newPodList, prefix)
	if err != nil {
		return nil, err
	}
	watching, err := cacher.NewCacherFromConfig(cacher.Config{
		Storage: etcd, Versioner: storage.APIObjectVersioner{}, GroupResource: pods,
		EventsHistoryWindow: c.EventsHistoryWindow, ResourcePrefix: prefix,
		KeyFunc: keyOfObject, GetAttrsFunc: attributes, NewFunc: newPod, NewListFunc: newPodList, Codec: codec,
	})
	if err != nil {
		return nil, err
	}
	s := &server{etcd: etcd, cached: cacher.NewCacheDelegator(watching, etcd), reflected: &reflected{have: map[string]Object{}}}
	reflector := cache.NewReflectorWithOptions(unwrapped{cacher.NewListerWatcher(s.cached, prefix, newPodList, nil)}, newPod(), s.reflected, cache.ReflectorOptions{Name: "reflector"})
	go reflector.Run(make(chan struct{}))
	return s, nil
}

// unwrapped gives the objects of the watch cache's events as they are: it wraps them so that they are encoded once for all who watch, and
// an API server's handler takes them out.
type unwrapped struct{ cache.ListerWatcher }

func (u unwrapped) Watch(o metav1.ListOptions) (watch.Interface, error) {
	w, err := u.ListerWatcher.Watch(o)
	if err != nil {
		return nil, err
	}
	return watch.Filter(w, func(e watch.Event) (watch.Event, bool) {
		if c, ok := e.Object.(runtime.CacheableObject); ok {
			e.Object = c.GetObject()
		}
		return e, true
	}), nil
}

// put makes an object or changes it; with a version only if it still has that.
func (s *server) put(ctx context.Context, name, version, value string) (uint64, error) {
	var p *storage.Preconditions
	if version != "" {
		p = &storage.Preconditions{ResourceVersion: &version}
	}
	out := new(example.Pod)
	err := s.cached.GuaranteedUpdate(ctx, keyOf(name), out, version == "", p, func(o runtime.Object, _ storage.ResponseMeta) (runtime.Object, *uint64, error) {
		pod := o.(*example.Pod).DeepCopy()
		pod.Name, pod.Labels = name, map[string]string{"value": value}
		if pod.CreationTimestamp.IsZero() {
			pod.CreationTimestamp = metav1.NewTime(time.Now().Truncate(time.Second))
		}
		return pod, nil, nil
	}, nil)
	if err != nil {
		return 0, err
	}
	return versionOf(out)
}

func (s *server) delete(ctx context.Context, name string) error {
	return s.cached.Delete(ctx, keyOf(name), new(example.Pod), nil, func(context.Context, runtime.Object) error { return nil }, nil, storage.DeleteOptions{})
}

func versionOf(o metav1.Object) (uint64, error) {
	return strconv.ParseUint(o.GetResourceVersion(), 10, 64)
}

// Object is what is told of one.
type Object struct {
	Value   string `json:"value"`
	Version uint64 `json:"version"`
}

// List is what a list has, and its own resource version.
type List struct {
	Version uint64            `json:"version"`
	Objects map[string]Object `json:"objects"`
}

// Look is what each has.
type Look struct {
	// Etcd is read with a quorum. Fresh is the watch cache's answer to who wants it as new as etcd is, Any to who takes what there is.
	Etcd  List `json:"etcd"`
	Fresh List `json:"fresh"`
	Any   List `json:"any"`
	// Reflected is what the reflector has, with the resource version up to which it has it. Backwards are what it was given under an older
	// resource version than it had already, in the order in which it came.
	Reflected List     `json:"reflected"`
	Backwards []string `json:"backwards"`
}

func (s *server) look(ctx context.Context) (*Look, error) {
	var l Look
	var err error
	for _, q := range []struct {
		to      *List
		from    storage.Interface
		version string
	}{{&l.Etcd, s.etcd, ""}, {&l.Fresh, s.cached, ""}, {&l.Any, s.cached, "0"}} {
		if *q.to, err = list(ctx, q.from, q.version); err != nil {
			return nil, err
		}
	}
	l.Reflected, l.Backwards = s.reflected.state()
	return &l, nil
}

func list(ctx context.Context, from storage.Interface, version string) (l List, err error) {
	pods := new(example.PodList)
	if err := from.GetList(ctx, prefix, storage.ListOptions{ResourceVersion: version, Predicate: storage.Everything, Recursive: true}, pods); err != nil {
		return l, err
	}
	if l.Version, err = strconv.ParseUint(pods.ResourceVersion, 10, 64); err != nil {
		return l, err
	}
	l.Objects = map[string]Object{}
	for i := range pods.Items {
		o, err := objectOf(&pods.Items[i])
		if err != nil {
			return l, err
		}
		l.Objects[pods.Items[i].Name] = o
	}
	return l, nil
}

func objectOf(pod *example.Pod) (Object, error) {
	v, err := versionOf(pod)
	return Object{pod.Labels["value"], v}, err
}
