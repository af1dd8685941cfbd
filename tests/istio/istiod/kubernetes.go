package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/util/yaml"
	metadatafake "k8s.io/client-go/metadata/fake"

	"istio.io/istio/pkg/config"
	"istio.io/istio/pkg/config/schema/gvk"
	"istio.io/istio/pkg/config/schema/gvr"
	"istio.io/istio/pkg/kube"
)

// kubernetes is Istio's own fake of a Kubernetes API with the objects of a file; without one it is
// empty.
func kubernetes(path string) (kube.Client, error) {
	if path == "" {
		return kube.NewFakeClient(), nil
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	objects, err := parse(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	client := kube.NewFakeClient(objects...)
	return client, define(client, objects)
}

// parse reads objects as strictly as a Kubernetes API would: a field that the kind has not is an
// error.
func parse(text []byte) ([]runtime.Object, error) {
	decoder := serializer.NewCodecFactory(kube.IstioScheme, serializer.EnableStrict).UniversalDeserializer()
	documents := yaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(text)))
	var objects []runtime.Object
	for {
		document, err := documents.Read()
		if err == io.EOF {
			return objects, nil
		}
		if err != nil {
			return nil, err
		}
		object, _, err := decoder.Decode(document, nil, nil)
		if err != nil {
			return nil, err
		}
		objects = append(objects, object)
	}
}

// define says that the API knows the kinds of these objects beside Kubernetes' own: istiod watches a
// kind of the Gateway API only where its definition is.
func define(client kube.Client, objects []runtime.Object) error {
	definitions := client.Metadata().(*metadatafake.FakeMetadataClient).Tracker()
	defined := map[string]bool{}
	for _, object := range objects {
		kind := object.GetObjectKind().GroupVersionKind()
		resource, known := gvk.ToGVR(config.FromKubernetesGVK(kind))
		if !known {
			return fmt.Errorf("istiod reads no %s", kind)
		}
		name := resource.GroupResource().String()
		if resource.Group == "" || defined[name] {
			continue
		}
		defined[name] = true
		definition := &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{Name: name}}
		if err := definitions.Create(gvr.CustomResourceDefinition, definition, ""); err != nil {
			return err
		}
	}
	return nil
}
