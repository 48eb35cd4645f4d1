# distutils: language = c++
"""The compiled form of ``einkorn.text._plain``: the same classes over C++ (``csrc/text``), without the GIL while they work.

Cython is here for what it is good at: lists of str are walked, objects of C++ live in Python ones. What is done with a text is C++.
"""

from cpython.ref cimport Py_INCREF, PyObject
from cpython.bytes cimport PyBytes_FromStringAndSize
from cpython.unicode cimport PyUnicode_AsUTF8AndSize
from libc.stdint cimport int32_t, int64_t, uint32_t
from libcpp cimport bool as flag
from libcpp.functional cimport function
from libcpp.memory cimport make_shared, shared_ptr, unique_ptr
from libcpp.string cimport string
from libcpp.string_view cimport string_view
from libcpp.utility cimport move
from libcpp.vector cimport vector

from einkorn.errors import ArgumentError as _ArgumentError


cdef extern from *:
    """
    #include "text/pipeline.h"
    #include "text/train.h"

    static PyObject* einkorn_text_refused = nullptr;  // einkorn.errors.ArgumentError

    // Exceptions of C++ as Python's.
    static void einkorn_text_raise() {
      try {
        throw;
      } catch (const einkorn::text::Interrupted&) {
        // What the signal's handler raised is set already.
      } catch (const einkorn::text::Refused& error) {
        PyErr_SetString(einkorn_text_refused, error.what());
      } catch (const std::bad_alloc&) {
        PyErr_NoMemory();
      } catch (const std::exception& error) {
        PyErr_SetString(PyExc_RuntimeError, error.what());
      }
    }

    static bool einkorn_text_interrupted() {
      const PyGILState_STATE state = PyGILState_Ensure();
      const bool raised = PyErr_CheckSignals() != 0;
      PyGILState_Release(state);
      return raised;
    }

    static void einkorn_text_listen() { einkorn::text::was_interrupted = einkorn_text_interrupted; }

    // Lines with their ends.
    static std::vector<std::string_view> einkorn_text_lines(std::string_view text) {
      std::vector<std::string_view> lines;
      for (size_t at = 0; at < text.size();) {
        const size_t end = text.find('\\n', at);
        const size_t next = end == std::string_view::npos ? text.size() : end + 1;
        lines.push_back(text.substr(at, next - at));
        at = next;
      }
      return lines;
    }

    static void einkorn_text_sample(const einkorn::text::Unigram& model, std::string_view piece, double alpha,
                                    const std::vector<double>& uniform, std::vector<einkorn::text::Token>& out) {
      size_t next = 0;
      model.sample(piece, alpha, [&] { return uniform[next++]; }, out);
    }
    """
    PyObject* refused "einkorn_text_refused"
    void raise_refused "einkorn_text_raise" ()
    void listen "einkorn_text_listen" ()
    vector[string_view] lines_of "einkorn_text_lines" (string_view) nogil
    void sample_of "einkorn_text_sample" (
        const CUnigram&, string_view, double, const vector[double]&, vector[CToken]&) except +raise_refused nogil


cdef extern from "text/pipeline.h" namespace "einkorn::text" nogil:
    cdef cppclass CCharacters "einkorn::text::Characters":
        CCharacters(string_view) except +raise_refused

    cdef cppclass CTable "einkorn::text::StringTable":
        size_t size()
        string_view string(size_t)
        int64_t value(size_t)
        int64_t& count(string_view) except +raise_refused

    cdef cppclass CVocabulary "einkorn::text::Vocabulary":
        void add(string_view, int64_t) except +raise_refused

    cdef cppclass CToken "einkorn::text::Token":
        int32_t id
        uint32_t size

    cdef cppclass CModel "einkorn::text::Model":
        pass

    cdef cppclass CMergesOptions "einkorn::text::Merges::Options":
        flag bytes
        flag whole_first
        flag fuse_unknown
        int32_t unknown
        string suffix

    cdef cppclass CMerges "einkorn::text::Merges"(CModel):
        CMerges(shared_ptr[const CVocabulary], CMergesOptions) except +raise_refused
        void add(int64_t, int64_t, int64_t, int64_t) except +raise_refused
        void add_all_ways(const vector[string_view]&, const vector[int32_t]&, const vector[int32_t]&) except +raise_refused
        void set_fallback(const vector[int32_t]&)

    cdef cppclass CWordPiece "einkorn::text::WordPiece"(CModel):
        CWordPiece(shared_ptr[const CVocabulary], int32_t, string, size_t) except +raise_refused

    cdef cppclass CUnigram "einkorn::text::Unigram"(CModel):
        CUnigram(const vector[string_view]&, const vector[double]&, int32_t, flag) except +raise_refused
        void set_fallback(const vector[int32_t]&)

    cdef cppclass CMap "einkorn::text::CharacterMap":
        CMap()
        void add(uint32_t, string_view) except +raise_refused

    cdef cppclass CAdded "einkorn::text::Added":
        string content
        int32_t id
        flag strip_left, strip_right, whole_word, mapped

    cdef enum class CSplit "einkorn::text::Split":
        whole

    CSplit split_named(string_view) except +raise_refused

    cdef enum class CPrepend "einkorn::text::Prepend":
        never, first, each

    cdef cppclass CSetup "einkorn::text::Pipeline::Setup":
        shared_ptr[const CCharacters] characters
        shared_ptr[const CModel] model
        shared_ptr[const CMap] map
        CSplit split
        vector[CAdded] added
        string prefix
        CPrepend prepend
        flag unless_there

    cdef cppclass CResult "einkorn::text::Pipeline::Result":
        vector[int32_t] ids
        vector[int64_t] counts
        vector[int64_t] spans
        vector[int32_t] words

    cdef cppclass CPipeline "einkorn::text::Pipeline":
        CPipeline(CSetup) except +raise_refused
        void encode(const vector[string_view]&, int, flag, CResult&) except +raise_refused
        void count(const vector[string_view]&, int, CTable&) except +raise_refused
        void pieces(string_view, string&, vector[int64_t]&) except +raise_refused


cdef extern from "text/train.h" namespace "einkorn::text" nogil:
    cdef cppclass CTraining "einkorn::text::Training":
        size_t vocabulary
        int64_t least
        flag bytes
        string suffix

    cdef cppclass CMerge "einkorn::text::Merge":
        int32_t left, right, merged

    void count_units(const CTable&, const CTraining&, CTable&) except +raise_refused
    vector[CMerge] train_pairs "einkorn::text::train" (const CTable&, const CTraining&, vector[string]&) except +raise_refused


ctypedef const CCharacters SameCharacters
ctypedef const CVocabulary SameVocabulary
ctypedef const CModel SameModel
ctypedef const CMap SameMap
ctypedef shared_ptr[SameCharacters] SharedCharacters
ctypedef shared_ptr[SameVocabulary] SharedVocabulary
ctypedef shared_ptr[SameModel] SharedModel
ctypedef shared_ptr[SameMap] SharedMap

Py_INCREF(_ArgumentError)
refused = <PyObject*>_ArgumentError
listen()


cdef string_view view(object text) except *:
    """The UTF-8 of a str, which keeps it, or the bytes of a bytes object."""
    cdef Py_ssize_t size
    cdef const char* data
    if isinstance(text, str):
        data = PyUnicode_AsUTF8AndSize(text, &size)
        return string_view(data, size)
    cdef bytes octets = text
    return string_view(<const char*>octets, len(octets))


cdef vector[string_view] views(tuple texts) except *:
    cdef vector[string_view] all_of_them
    all_of_them.reserve(len(texts))
    for text in texts:
        all_of_them.push_back(view(text))
    return all_of_them


cdef bytes octets_of(string_view text):
    return PyBytes_FromStringAndSize(text.data(), text.size())


cdef class Characters:
    cdef SharedCharacters own

    def __init__(self, bytes classes not None):
        self.own = SharedCharacters(new CCharacters(view(classes)))


cdef class Vocabulary:
    cdef shared_ptr[CVocabulary] own

    def __init__(self, list tokens not None, list ids not None):
        self.own = make_shared[CVocabulary]()
        for token, id in zip(tokens, ids, strict=True):
            self.own.get().add(view(token), id)


cdef class Model:
    cdef SharedModel own


cdef class Merges(Model):
    cdef CMerges* pairs
    cdef Vocabulary vocabulary

    def __init__(self, Vocabulary vocabulary not None, bint bytes, bint whole_first, bint fuse_unknown, int unknown, suffix):
        cdef CMergesOptions options
        options.bytes = bytes
        options.whole_first = whole_first
        options.fuse_unknown = fuse_unknown
        options.unknown = unknown
        options.suffix = suffix
        self.vocabulary = vocabulary
        self.pairs = new CMerges(<SharedVocabulary>vocabulary.own, options)
        self.own = SharedModel(self.pairs)

    def add(self, list merges not None):
        for left, right, rank, merged in merges:
            self.pairs.add(left, right, rank, merged)

    def add_all_ways(self, list tokens not None, list ids not None, list ranks not None):
        cdef tuple kept = tuple(tokens)
        if not len(tokens) == len(ids) == len(ranks):
            raise ValueError("as many tokens as ids and ranks")
        self.pairs.add_all_ways(views(kept), ids, ranks)

    def set_fallback(self, list ids not None):
        self.pairs.set_fallback(fallback_of(ids))


cdef vector[int32_t] fallback_of(list ids) except *:
    if len(ids) != 256:
        raise ValueError("256 ids of bytes")
    return ids


cdef class WordPiece(Model):
    def __init__(self, Vocabulary vocabulary not None, int unknown, bytes prefix not None, size_t most_characters):
        self.own = SharedModel(new CWordPiece(
            <SharedVocabulary>vocabulary.own, unknown, prefix, most_characters))


cdef class Unigram(Model):
    cdef CUnigram* pieces

    def __init__(self, list tokens not None, list scores not None, int unknown, bint fuse_unknown):
        cdef tuple kept = tuple(tokens)
        if len(tokens) != len(scores):
            raise ValueError("as many tokens as scores")
        self.pieces = new CUnigram(views(kept), scores, unknown, fuse_unknown)
        self.own = SharedModel(self.pieces)

    def set_fallback(self, list ids not None):
        self.pieces.set_fallback(fallback_of(ids))

    def sample(self, bytes piece not None, double alpha, list uniform not None):
        if len(uniform) < len(piece):
            raise ValueError("a random number for each byte")
        cdef vector[CToken] out
        sample_of(self.pieces[0], view(piece), alpha, uniform, out)
        return [out[i].id for i in range(out.size())]


cdef class Counts:
    cdef CTable own

    def add(self, word, int64_t count):
        cdef int64_t* place = &self.own.count(view(word))
        place[0] += count

    def items(self):
        return [(octets_of(self.own.string(i)), self.own.value(i)) for i in range(self.own.size())]

    def units(self, bint bytes, suffix):
        cdef Counts units = Counts()
        cdef CTraining training
        training.bytes = bytes
        training.suffix = suffix
        with nogil:
            count_units(self.own, training, units.own)
        return dict(units.items())


cdef class Pipeline:
    cdef unique_ptr[CPipeline] own

    def __init__(self, Characters characters not None, Model model, dict map, str split not None, list added not None,
                 bytes prefix not None, str prepend not None, bint unless_there):
        cdef CSetup setup
        cdef CAdded one
        cdef CMap* becomes
        setup.characters = characters.own
        if model is not None:
            setup.model = model.own
        if map:
            becomes = new CMap()
            setup.map = SharedMap(becomes)
            for point, text in map.items():
                becomes.add(point, view(text))
        setup.split = split_named(view(split))
        for one.content, one.id, one.strip_left, one.strip_right, one.whole_word, one.mapped in added:
            setup.added.push_back(one)
        setup.prefix = prefix
        setup.prepend = CPrepend.each if prepend == "each" else CPrepend.first if prepend == "first" else CPrepend.never
        setup.unless_there = unless_there
        self.own.reset(new CPipeline(setup))

    def encode(self, texts, int threads, bint spans):
        cdef tuple kept = tuple(texts)
        cdef vector[string_view] parts = views(kept)
        cdef CResult result
        with nogil:
            self.own.get().encode(parts, threads, spans, result)
        return (
            PyBytes_FromStringAndSize(<const char*>result.ids.data(), result.ids.size() * 4),
            PyBytes_FromStringAndSize(<const char*>result.counts.data(), result.counts.size() * 8),
            PyBytes_FromStringAndSize(<const char*>result.spans.data(), result.spans.size() * 8),
            PyBytes_FromStringAndSize(<const char*>result.words.data(), result.words.size() * 4),
        )

    def ids(self, text):
        """The ids of one text as a list."""
        cdef vector[string_view] one
        cdef CResult result
        one.push_back(view(text))
        with nogil:
            self.own.get().encode(one, 1, False, result)
        return [result.ids[i] for i in range(result.ids.size())]

    def count(self, texts, int threads, Counts counts not None):
        cdef tuple kept = tuple(texts)
        cdef vector[string_view] parts = views(kept)
        with nogil:
            self.own.get().count(parts, threads, counts.own)

    def count_lines(self, bytes chunk not None, int threads, Counts counts not None):
        cdef vector[string_view] parts = lines_of(view(chunk))
        with nogil:
            self.own.get().count(parts, threads, counts.own)

    def pieces(self, text):
        """The pieces of one text, as bytes."""
        cdef string mapped
        cdef vector[int64_t] places
        self.own.get().pieces(view(text), mapped, places)
        cdef bytes joined = mapped
        return [joined[places[i] : places[i + 1]] for i in range(0, places.size(), 2)]


def train(Counts words not None, size_t vocabulary, int64_t least, bint bytes, suffix, list tokens not None):
    """Merges as (left, right, merged), and all tokens."""
    cdef CTraining training
    training.vocabulary = vocabulary
    training.least = least
    training.bytes = bytes
    training.suffix = suffix
    cdef vector[string] strings = tokens
    cdef vector[CMerge] merges
    with nogil:
        merges = train_pairs(words.own, training, strings)
    return [(merges[i].left, merges[i].right, merges[i].merged) for i in range(merges.size())], list(strings)


include "words.pxi"
include "unigram.pxi"

include "corpus.pxi"
include "tagger.pxi"
