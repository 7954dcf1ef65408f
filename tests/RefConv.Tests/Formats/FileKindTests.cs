using System.IO.Compression;
using System.Text;
using RefConv.IO;

namespace RefConv.Tests.Formats;

/// <summary>What is given as weights and is something else is told what it is, whatever it is called; and safetensors are read under any name.</summary>
public sealed class FileKindTests
{
    [Theory]
    [InlineData("", "is empty")]
    [InlineData("version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n", "git lfs pull")]
    [InlineData("<!DOCTYPE html>\n<html><head><title>404 Not Found</title>", "a web page")]
    [InlineData("\u00ef\u00bb\u00bf<?xml version='1.0'?><Error><Code>AccessDenied</Code>", "a web page")]
    [InlineData("{\"weight_map\": {\"conv.weight\": \"model-00001.safetensors\"}}", "text (JSON)")]
    [InlineData("Not Found", "text, not weights: it begins with 'Not Found'")]
    [InlineData("\u001f\u008b\u0008\0\0\0\0\0\0\u0003", "gzip")]
    [InlineData("BZh91AY&SY", "bzip2")]
    [InlineData("\u00fd7zXZ\0\0\u0004", "xz")]
    [InlineData("(\u00b5/\u00fd\u0004\0", "zstd")]
    [InlineData("\u0089HDF\r\n\u001a\n\0\0\0\0\0\u0008\u0008\0", "HDF5")]
    [InlineData("\u0008\u0008\u0012\u0007pytorch\u001a\u00051.13.", "an ONNX model")]
    [InlineData("\u0008\u0003\u0012\u0007pytorch\u001a\u00030.4", "an ONNX model")]
    [InlineData("\u0008\u0007:\u00b5\u0003\n\u0010\n\u0005input", "an ONNX model")]
    [InlineData("\u0008\u0001\u0012\u00b4\u0003\n\u0012serve\u0012", "a TensorFlow graph")]
    [InlineData("\n7\n\u0005input\u0012\u000bPlaceholder*\u000b\n\u0005dtype\u0012\u00020\u0001*", "a TensorFlow graph")]
    [InlineData("\u001c\0\0\0TFL3\u0014\0 \0", "TensorFlow Lite")]
    [InlineData("\u0093NUMPY\u0001\0v\0{'descr': '<f4'", "a NumPy array")]
    [InlineData("GGUF\u0003\0\0\0", "GGUF")]
    [InlineData("\u0089PNG\r\n\u001a\n", "a picture (PNG)")]
    [InlineData("\u00ff\u00d8\u00ff\u00e0\0\u0010JFIF", "a picture (JPEG)")]
    [InlineData("\u0000\u0001\u0002\u0003\u0004\u0005\u0006\u0007\u0008\u0009", "not a safetensors file")]
    public void ByItsFirstBytes(string latin1, string phrase) => Refused(Encoding.Latin1.GetBytes(latin1), phrase);

    [Fact]
    public void Archives()
    {
        using var folder = new TemporaryFolder();
        byte[] tar = new byte[1024];
        Encoding.ASCII.GetBytes("sys_info").CopyTo(tar, 0);
        Encoding.ASCII.GetBytes("ustar  ").CopyTo(tar, 257);
        Refused(tar, "a tar archive");
        Refused(Zip("model/constants.pkl", "model/code/__torch__.py"), "a TorchScript program");
        Refused(Zip("m/bytecode.pkl"), "a TorchScript program");
        Refused(Zip("archive_format", "models/model.json"), "an exported program");
        Refused(Zip("config.json", "metadata.json", "model.weights.h5"), "a Keras model");
        Refused(Zip("a.npy", "b.npy"), "NumPy arrays");
        Refused(Zip("readme.txt", "weights/best.pth"), "Unpack it and give 'weights/best.pth'");
        Refused(Zip("readme.txt"), "not one that torch.save wrote. Check that it is the right file");

        static byte[] Zip(params string[] names)
        {
            using var memory = new MemoryStream();
            using (var zip = new ZipArchive(memory, ZipArchiveMode.Create))
            {
                foreach (string name in names)
                {
                    using var part = zip.CreateEntry(name, CompressionLevel.NoCompression).Open();
                    part.Write(new byte[100]);
                }
            }
            return memory.ToArray();
        }
    }

    [Theory]
    [InlineData("model.pth")]
    [InlineData("model.bin")]
    [InlineData("model")]
    public void SafetensorsUnderAnyName(string name)
    {
        using var folder = new TemporaryFolder();
        SafeTensorsWriter.Write(folder.File(name), [SafeTensorsEntry.FromFloats("x", [2], new float[] { 1, 2 })]);
        using var file = TensorFile.Open(folder.File(name));
        Assert.Equal([1f, 2], file.Read("x"));
    }

    private static void Refused(byte[] bytes, string phrase)
    {
        using var folder = new TemporaryFolder();
        string path = folder.Write("weights.pth", bytes);
        string message = Assert.Throws<FileFormatException>(() => TensorFile.Open(path)).Message;
        Assert.StartsWith(path + ": ", message);
        Assert.Contains(phrase, message);
        Assert.DoesNotContain('\n', message);
    }
}
