# Parts of speech, over csrc/text/tagger.h.

cdef extern from "text/tagger.h" namespace "einkorn::text" nogil:
    cdef cppclass CSentences "einkorn::text::Sentences":
        vector[string_view] words
        vector[size_t] ends

    cdef cppclass CTagger "einkorn::text::Tagger":
        CTagger(size_t)
        void fix(string_view, int32_t) except +raise_refused
        size_t learn(const CSentences&, const vector[int32_t]&, const vector[int64_t]&) except +raise_refused
        void average() except +raise_refused
        vector[int32_t] tag(const CSentences&, int) except +raise_refused
        const vector[uint64_t]& features()
        vector[float] weights() except +raise_refused
        void put(const vector[uint64_t]&, const vector[float]&) except +raise_refused


cdef void gather(list sentences, CSentences& into) except *:
    for sentence in sentences:
        for word in sentence:
            into.words.push_back(view(word))
        into.ends.push_back(into.words.size())


cdef class Tagger:
    cdef unique_ptr[CTagger] own
    cdef size_t tags

    def __init__(self, size_t tags):
        self.tags = tags
        self.own.reset(new CTagger(tags))

    def fix(self, str word not None, int tag):
        if not 0 <= tag < <int>self.tags:
            raise ValueError("there is no such tag")
        self.own.get().fix(view(word), tag)

    def learn(self, list sentences not None, list tags not None, list order not None):
        """One pass; how many words were given a wrong tag."""
        cdef CSentences kept
        cdef vector[int32_t] truth = tags
        cdef vector[int64_t] turns = order
        cdef size_t wrong
        gather(sentences, kept)
        if truth.size() != kept.words.size():
            raise ValueError("as many tags as words")
        for tag in tags:
            if not 0 <= tag < <int>self.tags:
                raise ValueError("there is no such tag")
        for turn in order:
            if not 0 <= turn < len(sentences):
                raise ValueError("there is no such sentence")
        with nogil:
            wrong = self.own.get().learn(kept, truth, turns)
        return wrong

    def average(self):
        self.own.get().average()

    def tag(self, list sentences not None, int threads):
        cdef CSentences kept
        cdef vector[int32_t] found
        gather(sentences, kept)
        with nogil:
            found = self.own.get().tag(kept, threads)
        return list(found)

    def weights(self):
        """Features (uint64) and weights (float32), as bytes."""
        cdef vector[float] weights = self.own.get().weights()
        return (
            PyBytes_FromStringAndSize(<const char*>self.own.get().features().data(), self.own.get().features().size() * 8),
            PyBytes_FromStringAndSize(<const char*>weights.data(), weights.size() * 4),
        )

    def put(self, bytes features not None, bytes weights not None):
        cdef const uint64_t* f = <const uint64_t*><const char*>features
        cdef const float* w = <const float*><const char*>weights
        cdef vector[uint64_t] keys
        cdef vector[float] values
        keys.assign(f, f + len(features) // 8)
        values.assign(w, w + len(weights) // 4)
        self.own.get().put(keys, values)
