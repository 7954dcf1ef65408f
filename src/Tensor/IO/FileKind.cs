using System.Text;

namespace RefConv.IO;

/// <summary>What a file really is that was given as weights and holds none in a form that is read here: a sentence with the way out. By its bytes, whatever it is called.</summary>
internal static class FileKind
{
    private const int Head = 512;

    /// <summary>First bytes of known kinds.</summary>
    private static readonly (byte[] Magic, string What)[] s_kinds =
    [
        ([0x1F, 0x8B], "compressed with gzip. Unpack it (gunzip, or tar xzf for a .tar.gz) and give the file of weights in it."),
        ([.. "BZh"u8], "compressed with bzip2. Unpack it (bunzip2) and give the file of weights in it."),
        ([0xFD, .. "7zXZ"u8], "compressed with xz. Unpack it (unxz) and give the file of weights in it."),
        ([0x28, 0xB5, 0x2F, 0xFD], "compressed with zstd. Unpack it (unzstd) and give the file of weights in it."),
        ([.. "7z"u8, 0xBC, 0xAF], "a 7-Zip archive. Unpack it and give the file of weights in it."),
        ([.. "Rar!"u8], "a RAR archive. Unpack it and give the file of weights in it."),
        ([0x89, .. "HDF\r\n"u8], "an HDF5 file, as Keras (.h5) and MATLAB write, not weights of PyTorch. Load it where it was made and save its tensors as .safetensors, under PyTorch's names and in its order of axes."),
        ([.. "GGUF"u8], "a GGUF file of a language model. No architecture here has such weights."),
        ([0x93, .. "NUMPY"u8], "a NumPy array, one tensor without a name. Save a state dict: torch.save(model.state_dict(), PATH), or a .safetensors file."),
        ([.. "MATLAB"u8], "a MATLAB file, not weights of PyTorch. Load it where it was made and save its tensors as .safetensors, under PyTorch's names."),
        ([0x89, .. "PNG"u8], "a picture (PNG), not weights. Check the name."),
        ([0xFF, 0xD8, 0xFF], "a picture (JPEG), not weights. Check the name."),
        ([.. "%PDF"u8], "a PDF document, not weights. Check the name."),
        ([0x7F, .. "ELF"u8], "a program, not weights. Check the name."),
    ];

    /// <summary>The sentence; null for what may be a file of tensors, if a damaged one.</summary>
    public static string? Of(MappedFile file)
    {
        if (file.Length == 0) return "is empty: it was perhaps never written or downloaded to the end. Copy or download it again.";
        var head = file.Span(0, (int)Math.Min(file.Length, Head));
        foreach (var (magic, what) in s_kinds)
        {
            if (head.StartsWith(magic)) return what;
        }
        if (head.Length >= 262 && head[257..].StartsWith("ustar"u8))
            return "a tar archive: weights of a PyTorch before 0.1.10, which can only be loaded there and saved again, or files packed together. Unpack it (tar xf) and give the file of weights in it.";
        if (head.Length >= 8 && head[4..].StartsWith("TFL3"u8))
            return "a TensorFlow Lite model, not weights of PyTorch. Load it where it was made and save its tensors as .safetensors, under PyTorch's names and in its order of axes.";
        return head.Length > 9 && head[8] == (byte)'{' ? null : OfProtocolBuffer(head) ?? OfText(head);
    }

    /// <summary>What a zip file without a pickle of torch.save is.</summary>
    /// <param name="names">Its parts.</param>
    public static string OfZip(IReadOnlyCollection<string> names)
    {
        if (names.Any(n => n.EndsWith("/constants.pkl", StringComparison.Ordinal) || n.EndsWith("/bytecode.pkl", StringComparison.Ordinal)))
            return "a TorchScript program (torch.jit.save), not weights. In Python: torch.save(torch.jit.load(PATH).state_dict(), NEW).";
        if (names.Any(n => n.EndsWith("archive_format", StringComparison.Ordinal) || n.Contains("serialized_exported_program", StringComparison.Ordinal)))
            return "an exported program (torch.export), not weights. In Python: torch.save(torch.export.load(PATH).state_dict, NEW).";
        if (names.Any(n => n.EndsWith("model.weights.h5", StringComparison.Ordinal)))
            return "a Keras model, not weights of PyTorch. Load it where it was made and save its tensors as .safetensors, under PyTorch's names and in its order of axes.";
        if (names.Count > 0 && names.All(n => n.EndsWith(".npy", StringComparison.Ordinal)))
            return "NumPy arrays (.npz), not a state dict. In Python: torch.save({k: torch.from_numpy(v) for k, v in numpy.load(PATH).items()}, NEW).";
        string? inside = names.FirstOrDefault(n => s_weights.Contains(System.IO.Path.GetExtension(n), StringComparer.OrdinalIgnoreCase));
        return "a zip file, but not one that torch.save wrote. " + (inside is null ? "Check that it is the right file." : $"Unpack it and give '{Visible(inside)}', which is in it.");
    }

    private static readonly string[] s_weights = [".pth", ".pt", ".bin", ".safetensors", ".tar", ".ckpt"];

    /// <summary>ONNX and TensorFlow begin with a small number as field 1 (a version) and go on with a text or a message, or begin with a node that has a name.</summary>
    private static string? OfProtocolBuffer(ReadOnlySpan<byte> head)
    {
        const string TensorFlow = "a TensorFlow graph, not weights of PyTorch. Load it where it was made and save its tensors as .safetensors, under PyTorch's names and in its order of axes.";
        if (head.Length < 8) return null;
        if (head is [0x08, 0x01, 0x12, ..]) return TensorFlow;
        if (head is [0x08, > 1 and < 32, 0x12 or 0x1A or 0x22 or 0x28 or 0x3A or 0x42, ..])
            return "an ONNX model, not a file of weights. Give the PyTorch weights that it was exported from; `refconv export` writes such files and nothing reads them back.";
        int name = head[1] < 0x80 ? 2 : 3;
        return head[0] == 0x0A && head[name] == 0x0A && head[name + 1] is > 0 and < 0x80 && IsText(head.Slice(name + 2, Math.Min((int)head[name + 1], head.Length - name - 2))) ? TensorFlow : null;
    }

    private static string? OfText(ReadOnlySpan<byte> head)
    {
        if (!IsText(head)) return null;
        string text = Encoding.UTF8.GetString(head).TrimStart('\uFEFF', ' ', '\t', '\r', '\n');
        if (text.StartsWith("version https://git-lfs", StringComparison.Ordinal))
            return "a pointer of git-lfs, which says where the weights are, not the weights. Fetch them: git lfs pull.";
        if (text.StartsWith('<'))
            return "a web page or another text in tags, not weights: the download was answered with a page instead of the file. Download it again, from the address of the file itself.";
        if (text.StartsWith('{') || text.StartsWith('['))
            return "text (JSON), not weights. Where it is the index of weights in several files, load them in Python and save one: torch.save(model.state_dict(), PATH).";
        string line = text.Split('\n')[0].Trim();
        return $"text, not weights: it begins with '{Visible(line[..Math.Min(line.Length, 60)])}'. Check that it is the right file, or download it again.";
    }

    /// <summary>No byte that text does not have; a character may be cut at the end.</summary>
    private static bool IsText(ReadOnlySpan<byte> bytes)
    {
        foreach (byte b in bytes)
        {
            if (b is < 32 and not ((byte)'\t' or (byte)'\n' or (byte)'\r' or 0x0C) or 0x7F) return false;
        }
        for (int cut = 0; cut < 4 && cut < bytes.Length; cut++)
        {
            if (System.Text.Unicode.Utf8.IsValid(bytes[..^cut])) return true;
        }
        return false;
    }

    private static string Visible(string text) => string.Concat(text.Select(c => char.IsControl(c) || c == '\uFFFD' ? '?' : c));
}
