/// <reference lib="dom" />
/// <reference lib="esnext.disposable" />

/** Encoded bytes of a JPEG or PNG (with `decode: 'browser'`, of anything the browser decodes). */
export type EncodedImage = Blob | ArrayBuffer | ArrayBufferView

/** 8-bit RGBA pixels in sRGB, rows top to bottom; alpha is dropped. A browser's `ImageData` is one; of another colour space it is converted. */
export interface RgbaImage {
  readonly data: Uint8ClampedArray | Uint8Array
  readonly width: number
  readonly height: number
}

/** A picture that is already resized and normalised: it is taken as it is, at any size. */
export interface NormalizedImage {
  /** 3 x width x height values. */
  pixels: Float32Array
  width: number
  height: number
  /** `'nhwc'`: [height, width, 3], the default; `'nchw'`: [3, height, width]. */
  layout?: 'nhwc' | 'nchw'
}

/**
 * A picture. Canvases, videos and bitmaps are copied when the call is made; bytes and pixels must not change until its
 * promise settles.
 */
export type ImageInput =
  | EncodedImage
  | RgbaImage
  | NormalizedImage
  | ImageBitmap
  | VideoFrame
  | OffscreenCanvas
  | HTMLCanvasElement
  | HTMLVideoElement
  | HTMLImageElement

/** A weight file: where it is, or its bytes. In Node a string that is no URL is a path. */
export type WeightSource = string | URL | Blob | ArrayBuffer | ArrayBufferView | ReadableStream<Uint8Array>

/** A `config.json`, `preprocessor_config.json` or `processor_config.json`: its URL, its text, its bytes, or the object it says. */
export type ConfigSource = string | URL | Blob | ArrayBuffer | ArrayBufferView | object

/**
 * A model: a GGUF file or a safetensors file of `vit convert`, which hold everything; another safetensors file, an index of
 * several, or an npz file, beside whose URL its `config.json` (and what says how pictures are fed, where that does not:
 * `processor_config.json`, or else `preprocessor_config.json`; without any, `info.warnings` says what is assumed) is looked up;
 * the URL of a folder with them, ending in `/`, such as `https://host/owner/name/resolve/main/`, or a model's page on the Hugging
 * Face hub; or the configs (later ones win) and the weights apart. Where a folder has several, `model.gguf` is read of a path in
 * Node, as by `vit`, and `model.safetensors` of an address. A download that breaks goes on where it broke.
 */
export type ModelSource = WeightSource | { weights: WeightSource; config?: ConfigSource | ConfigSource[] }

export interface Progress {
  /** `'config'` once for each config that was read, `'weights'` again and again. */
  phase: 'config' | 'weights'
  /** Bytes of this part that the engine has. */
  loaded: number
  /** Bytes of this part, or undefined while that is not known; equal to `loaded` at the end. */
  total: number | undefined
}

export interface CallOptions {
  /**
   * Cancels: the promise rejects with code `'cancelled'`, and the work stops after the picture or the stage of the network
   * that is being computed. With a worker the promise rejects at once; in place a signal can only fire between stages.
   */
  signal?: AbortSignal
}

export interface LoadOptions extends CallOptions {
  /**
   * Threads, the engine's own included, 1 to 64. Default: the cores of the host up to 4, half of them up to 8. One, whatever is
   * asked for, where memory cannot be shared (`vit.info.isolated`), in service workers, and where the package comes from another
   * origin.
   */
  threads?: number
  /**
   * Whether the engine runs in a worker. Default: on pages yes; in Node, inside workers, and where the package comes from another
   * origin no.
   */
  worker?: boolean
  /**
   * Arithmetic. `'int8'` turns the weights into 8-bit integers as they arrive: a quarter of the memory, and faster; answers
   * change a little. Default: `'f32'`.
   */
  compute?: 'f32' | 'int8'
  /** Pixels that pictures are resized to, one number or [height, width], each at most 65535. Default: the model's. */
  size?: number | readonly [height: number, width: number]
  /** Part of the picture's short side that is kept. Default: the model's. */
  cropPct?: number
  /**
   * Who decodes JPEG and PNG. `'engine'`, the default: every host gives the same numbers. `'browser'`: the browser's decoder,
   * which knows more formats (one that has `OffscreenCanvas`). Resizing is the engine's either way.
   */
  decode?: 'engine' | 'browser'
  /** Chooses the module instead of the best that the host can run, for tests: `'simd128'` or `'relaxed'`. */
  kernels?: string
  /** Called as parts of the model arrive. What it throws, at once or as a promise, ends the load, which rejects with that. */
  onProgress?: (progress: Progress) => void
  /**
   * A picture that is classified while the weights arrive: `vit.first` is the answer. Where they stand in the order of the
   * network, as in GGUF files of ours, only the last layer is left to do after the last byte.
   */
  first?: ImageInput
  /**
   * Whether the files of a URL are kept in the browser's Cache API, and read from there the next time, without asking the server
   * whether they changed. What came of a file whose download failed or was cancelled is kept too, in steps of 4 MiB also when the page
   * is closed: the next load fetches only the rest, if the ETag or Last-Modified says that it is the same file still. Default: false.
   * Where there is no such cache nothing is kept. {@link ViT.clearCache}
   */
  cache?: boolean
  /**
   * What the weight file's SHA-256 must be, 64 hexadecimal digits: checked while it is read; another rejects with code
   * `'checksum'`. For one file, not for weights in several.
   */
  sha256?: string
  /**
   * What files and pictures may cost at most.
   *
   * ```js
   * await ViT.load(url, { limits: { imagePixels: 20e6 } })
   * ```
   */
  limits?: Limits
}

/** What is refused as too large, with code `'limit'` and a message that names the limit: whole numbers above 0. */
export interface Limits {
  /** Largest weight or picture file, bytes. Default: 8 GiB. */
  fileBytes?: number
  /** Largest header of a weight file, bytes. Default: 32 MiB. */
  headerBytes?: number
  /** Largest config.json or other JSON beside a weight file, bytes. Default: 8 MiB. */
  configBytes?: number
  /** Largest picture, width x height; those of a PNG of 16 bits count twice. Default: 100 million. */
  imagePixels?: number
  /** Largest width or height of a picture. Default: 65,535. */
  imageSide?: number
  /** Most tensors or metadata entries of a file. Default: 100,000. */
  tensors?: number
  /** Deepest nesting of JSON. Default: 64. */
  jsonDepth?: number
  /** Most tokens of one picture. Default: 65,536. */
  tokens?: number
  /** Most layers. Default: 1,024. */
  layers?: number
}

export interface ClassifyOptions extends CallOptions {
  /** How many classes, best first. Default 5. */
  topK?: number
}

export interface FeatureOptions extends CallOptions {
  /** What the head sees (the default), the class token, or the mean of the patch tokens, both after the final norm. */
  pool?: 'head' | 'cls' | 'mean'
}

export interface AttentionOptions extends CallOptions {
  /**
   * `'rollout'` follows the attention through all layers, or up to `layer`; `'mean'` is the mean over the heads of one layer;
   * `'head'` is one head of it. Default: `'rollout'`, or `'head'` where `head` is given.
   */
  method?: 'rollout' | 'mean' | 'head'
  /** From 0; negative ones count from the end. Default -1, the last. */
  layer?: number
  /** From 0. */
  head?: number
  /**
   * Whose attention: the class token's, the mean over all patches, that of one patch (from 0, row by row), or of every patch.
   * Default: the class token where the answer is made of it; in hybrids and other models the mean.
   */
  query?: 'cls' | 'mean' | 'all' | number
}

export interface Attention {
  /** Patches of the picture, as the network sees it: resized and cropped. */
  grid: [rows: number, cols: number]
  /**
   * The share of each patch, row by row; they sum to 1 less what goes to other tokens. With `query: 'all'` rows * cols such maps,
   * one for each patch that looks.
   */
  values: Float32Array
}

export interface MaskedOptions extends CallOptions {
  /**
   * Which patches are hidden: row by row, a value for each, 1 (or true) where one is; as many as the grid has. Of a masked
   * autoencoder at least one must be visible.
   */
  mask?: readonly (number | boolean)[] | Uint8Array
  /** Instead: the share that is hidden, 0 to 1. Default 0.5; of a masked autoencoder 0.75. */
  ratio?: number
  /** Which patches `ratio` hides: the same on every host, and for `vit masked --seed`. From 0 to 2147483647, default 0. */
  seed?: number
  /**
   * Pixels that the picture is squeezed to, one number or [height, width], for a finer grid than the model's own: patches of 4
   * and 128 pixels are 32 x 32. A {@link NormalizedImage} has its own.
   */
  size?: number | readonly [height: number, width: number]
  /** Whether `raw` is wanted too. Default: false. */
  raw?: boolean
}

/** What is predicted of hidden patches; of patches that are visible what they are. */
export interface MaskedPrediction {
  /** Patches of the whole picture, as the network sees it: squeezed. */
  grid: [rows: number, cols: number]
  /** [rows * cols]: 1 where a patch was hidden. */
  mask: Uint8Array
  /** [rows * cols, 3]: mean colours of the patches, RGB. Where colours are guessed at, the mean over all, weighted by probability. */
  colors: Uint8Array
  /**
   * [rows * cols]: the likeliest of 512 colours, 3 bits a channel, `64 * red + 8 * green + blue`; where pixels or 4x4 cells are
   * predicted, that of `colors`.
   */
  labels: Uint16Array
  /** [rows * cols]: of that colour; of cells on average. 1 where a patch is visible, NaN where pixels are predicted. */
  probabilities: Float32Array
  /**
   * The picture in its own size with its holes filled, colours running into one another; all else is as it was. In hosts
   * without `ImageData` (Node) an object with the same `data`, `width` and `height`.
   */
  image: ImageData
  /** The same with edges: each patch of one colour, or of its 4x4 cells or pixels. For the option `raw`. */
  raw?: ImageData
}

export interface FilterOptions extends CallOptions {
  /** How many components, at most as many as there are. Default 28, or all where there are fewer. */
  count?: number
}

/** Principal components of the filters of the patch embedding, or of a ResNet's first convolution, about their mean. */
export interface Filters {
  /** How many filters there are. */
  filters: number
  /** Of each: [3, height, width]. */
  shape: [channels: 3, height: number, width: number]
  /** [count, 3, height, width]: unit vectors, strongest first; the entry of largest magnitude is positive. */
  components: Float32Array
  /** [count]: singular values. */
  strengths: Float32Array
  /** [3, height, width] */
  mean: Float32Array
}

export interface PositionOptions extends CallOptions {
  /** Pixels of an input, whose grid is wanted; one number or [height, width]. Default: the model's. */
  size?: number | readonly [height: number, width: number]
}

export interface Positions {
  grid: [rows: number, cols: number]
  /** [rows * cols, rows * cols]: cosine of the position embeddings of any two patches, a row for each patch. */
  similarity: Float32Array
}

export interface DistanceOptions extends CallOptions {
  /** The pictures, at least one. */
  images: ImageInput | readonly ImageInput[]
  /** Divides by the attention that goes to patches at all; else what goes to other tokens counts as no distance. Default: false. */
  renormalize?: boolean
}

export interface Distances {
  /** How many pictures these are the means of. */
  pictures: number
  /** [layers][heads]: pixels of the input between a patch and those it attends to, weighted by the attention. */
  distance: number[][]
}

/** A picture and what it shows; or, where they are there already, its `features()` by the same pool. */
export type Example = { image: ImageInput; features?: undefined; label: string } | { features: Float32Array; image?: undefined; label: string }

export interface LoadProbeOptions extends CallOptions {
  /** Penalty of fits after changes. Default: of the powers of 4 from 2^-10 to 2^14 the one that leave-one-out finds best. */
  l2?: number
}

export interface FewShotOptions extends LoadProbeOptions {
  /** What examples are made of, as in {@link ViT.features}. Default `'head'`. */
  pool?: 'head' | 'cls' | 'mean'
}

export interface ProbeClassifyOptions extends CallOptions {
  /** How many classes, best first. Default: all. */
  topK?: number
  /** By the votes of so many nearest examples, instead of the classifier. */
  neighbours?: number
}

/**
 * Classes of your own: a linear classifier on a model's features, solved for in milliseconds, again after each change.
 *
 * ```js
 * const probe = await vit.fitFewShot([{ image: photo, label: 'mug' }, { image: other, label: 'plant' }])
 * const id = await probe.add({ image: video, label: 'mug' })
 * console.log(probe.accuracy, await probe.classify(video))
 * await probe.remove(id)
 * const bytes = await probe.save() // for vit.loadProbe(), or `vit fewshot predict --probe FILE`
 * ```
 *
 * Calls made at once are answered in order. A call that fails changes nothing.
 */
export interface Probe {
  /** Classes in the order in which they were first seen, and how many examples each has. Another object after each change. */
  readonly classes: { label: string; examples: number }[]
  /** How many there are. */
  readonly examples: number
  /** The share, 0 to 1, of the examples that are right when they are left out of the fit; undefined without examples. */
  readonly accuracy: number | undefined
  /** The penalty that was chosen, or given; undefined without examples. */
  readonly l2: number | undefined

  /**
   * Adds examples, all of them or none, and with its first one a class. Numbers that name them: they count up from 0.
   *
   * ```js
   * const number = await probe.add({ image: plum, label: 'plum' })
   * ```
   */
  add(example: Example, options?: CallOptions): Promise<number>
  add(examples: readonly Example[], options?: CallOptions): Promise<number[]>
  /**
   * Removes an example by its number, or by its label a class. A class without examples is gone.
   *
   * ```js
   * await probe.remove(number)
   * await probe.remove('pear')
   * ```
   */
  remove(which: number | string): Promise<void>

  /**
   * Best first. Scores are near 1 for the class of the picture, near -1 for others; with `neighbours` they are shares of the votes.
   *
   * ```js
   * const [best] = await probe.classify(photo)
   * const [voted] = await probe.classify(photo, { neighbours: 5 })
   * ```
   */
  classify(image: ImageInput, options?: ProbeClassifyOptions): Promise<Classification[]>
  classify(images: readonly ImageInput[], options?: ProbeClassifyOptions): Promise<Classification[][]>
  classify(images: ImageInput | readonly ImageInput[], options?: ProbeClassifyOptions): Promise<Classification[] | Classification[][]>

  /**
   * A safetensors file, with the examples in it; the same on every host.
   *
   * ```js
   * link.href = URL.createObjectURL(new Blob([await probe.save()]))
   * ```
   */
  save(): Promise<ReturnType<Uint8Array['slice']>>

  /**
   * Gives its memory back; the model's dispose() does so too.
   *
   * ```js
   * probe.dispose()
   * ```
   */
  dispose(): void
  [Symbol.dispose](): void
}

export interface TrainOptions extends CallOptions {
  /** Names of the classes, for a new head of zeros. Default: the model's own head goes on being trained, if it has one. */
  classes?: readonly string[]
  /** What is trained: everything (the default), the head alone, or the last so many layers with all that follows them. */
  layers?: 'all' | 'head' | number
  /** Pictures of a step. Default: as many as the first step has. */
  batch?: number
  /**
   * Default `'sgd'`, with momentum 0.9, as the paper fine-tunes. Of Adam, `'adamw'` takes weight decay times the rate, `'adam'` times
   * the schedule alone, as the paper's code does, and `'adam-l2'` adds it to the gradient.
   */
  optimizer?: 'sgd' | 'adam' | 'adamw' | 'adam-l2'
  /** The highest learning rate. Default 0.01 of SGD, 0.001 of Adam. */
  rate?: number
  /** How many steps the schedule has; more are taken at its last rate, which is 0 unless it is constant. */
  steps?: number
  /** Steps in which the rate grows from 0. Default 0. */
  warmup?: number
  /** Of the rate, down to 0. Default `'cosine'` where `steps` is given, else `'constant'`; the others need `steps`. */
  schedule?: 'constant' | 'linear' | 'cosine'
  /** Default 0. */
  weightDecay?: number
  /** What weight decay is for: weights of linear layers and convolutions (the default), or all. */
  decay?: 'matrices' | 'all'
  /** The gradient is scaled down to this norm; 0: never. Default 1. */
  clip?: number
  /** 0 to 1. Default 0. */
  labelSmoothing?: number
  /** After adding positions, and after every linear layer of a block but qkv. Default 0. */
  dropout?: number
  /** Stochastic depth: the rate of the last layer. Default 0. */
  dropPath?: number
  /** Random resized crops keep at least this share of a picture; 0: no crops, as for `classify`. Default 0.35. */
  crop?: number
  /** Chance of a mirror image. Default 0.5. */
  flip?: number
  /** Less memory, a third more time. */
  recompute?: boolean
  /** Of crops, mirror images and dropout: the same seed and pictures give the same bytes, for any number of threads. Default 0. */
  seed?: number
  /** Pixels that the new head's network is fed, one number or [height, width]; positions are interpolated. Only with `classes`. Default: the model's. */
  size?: number | readonly [height: number, width: number]
  /** Default: as the model was loaded. */
  threads?: number
}

/** A picture and its class: the name, or the number. */
export interface TrainExample {
  image: ImageInput
  label: string | number
}

export interface TrainStep {
  /** Mean cross-entropy of the batch, before the step. */
  loss: number
  /** The learning rate of the step. */
  rate: number
  /** The share, 0 to 1, of the batch that was right before the step. */
  accuracy: number
  /** Steps so far, this one included. */
  steps: number
  /** Decoding and augmentation included. */
  imagesPerSecond: number
}

export interface SaveOptions extends CallOptions {
  /** Of matrices; vectors stay f32. Default `'f32'`, which loses nothing. */
  type?: 'f32' | 'f16' | 'bf16' | 'q8_0' | 'q4_0'
}

/**
 * A model that is being trained, in a worker (or place) and memory of its own: the ViT that it came from goes on as it is.
 *
 * ```js
 * const trainer = await vit.train({ classes: ['mug', 'plant'], steps: 30 })
 * for (let i = 0; i < 30; i++) {
 *   const { loss, accuracy } = await trainer.step([{ image: canvas, label: 'mug' }, { image: file, label: 'plant' }])
 *   console.log(loss, accuracy)
 * }
 * const mine = await ViT.load(await trainer.save())
 * trainer.dispose()
 * ```
 *
 * Calls made at once are answered in order. A call that is refused is no step.
 */
export interface Trainer {
  /** Names of the classes; null where the model has none. */
  readonly labels: string[] | null
  /** How many were taken, as far as they were answered. */
  readonly steps: number

  /**
   * One step on these pictures, all of which are in the batch. Pictures of 'pixels' are taken as they are, without crops; they have
   * the network's size. A step whose signal fires while gradients are computed may still be taken.
   *
   * ```js
   * const { loss, accuracy } = await trainer.step(batch, { signal })
   * ```
   */
  step(batch: readonly TrainExample[], options?: CallOptions): Promise<TrainStep>
  /**
   * A GGUF file with configuration and labels in it, for `ViT.load` or `vit classify --model`.
   *
   * ```js
   * const own = await ViT.load(await trainer.save())
   * ```
   */
  save(options?: SaveOptions): Promise<ReturnType<Uint8Array['slice']>>

  /**
   * Gives back the memory, the worker and the threads. Calls that are not answered reject with code `'disposed'`.
   *
   * ```js
   * trainer.dispose()
   * ```
   */
  dispose(): void
  [Symbol.dispose](): void
}

export interface Classification {
  /** Class number. */
  index: number
  /** The class's name; undefined where the model has none. */
  label: string | undefined
  /** Probability: softmax over the classes; of a model for several labels a picture, or for one class, a sigmoid. */
  score: number
}

export interface Info {
  /** For people, e.g. `'vit_tiny_patch16_224'`. */
  architecture: string
  /** Whether patches of the picture become tokens, or cells of what convolutions make of it, or it is all convolutions. */
  network: 'vit' | 'hybrid' | 'resnet'
  parameters: number
  /** Layers of attention, and heads of each; 0 where there are none, as in a ResNet. */
  layers: number
  heads: number
  /** How many; 0 without a head. */
  classes: number
  /** What it predicts of hidden patches: `'mean3bit'`, `'down4x4'`, `'regression'`, `'mae'` or `'simmim'`; `'none'`: nothing. */
  decoder: string
  /** Names of the classes; null where the model has none. */
  labels: string[] | null
  /** A picture whose best score is lower shows none of the classes, as far as the model can tell; 0 where it cannot. */
  knownScore: number
  /** What the network is fed. */
  input: {
    height: number
    width: number
    /** [height, width] in pixels; of a hybrid what one token stands for, of a ResNet a cell of its last map. */
    patch: [number, number]
    /** Patches, or cells of a ResNet's last map: [rows, columns]. */
    grid: [number, number]
    mean: [number, number, number]
    std: [number, number, number]
    /** `'nearest'`, `'box'`, `'bilinear'`, `'hamming'`, `'bicubic'`, `'lanczos'` or `'tf_bilinear'`. */
    filter: string
    /**
     * `'center'`: the short side to floor(size / cropPct), then the middle; `'squash'`: both sides so, the aspect ratio is lost;
     * `'border'`: the long side so, with a margin; `'short_floor'` and `'squash_floor'` are the first two as Hugging Face does them.
     */
    crop: string
    cropPct: number
  }
  compute: 'f32' | 'int8'
  /** Kernel tables and their tiles, e.g. `'relaxed:6x16'`, or `'relaxed:6x8,dot:6x8'` for int8. */
  kernels: string
  threads: number
  /** Whether this host lets threads share memory. Without, `threads` is 1. */
  isolated: boolean
  /** Bytes: of the weights, of one forward pass, and of the WebAssembly memory that holds both. */
  memory: { weights: number; activations: number; wasm: number }
  /** Milliseconds of the last call with pictures, all of them together; of predictMasked() `head` is the filling. */
  last: { decode: number; resize: number; forward: number; head: number }
  /** What is odd about the weights, e.g. `'blocks.0.norm1.weight holds NaN'`. */
  warnings: string[]
}

/**
 * A Vision Transformer, loaded.
 *
 * ```js
 * const vit = await ViT.load('https://huggingface.co/google/vit-base-patch16-224')
 * const [best] = await vit.classify(file)
 * console.log(best.score < vit.info.knownScore ? 'none that it knows' : best.label, best.score)
 * vit.dispose()
 * ```
 *
 * Calls made at once are queued and answered in order. Every failure is a {@link VitError}.
 */
export class ViT {
  private constructor()

  /**
   * Loads a model: without a source the default one, `ViT.models.classify`. Cancelling, or failing, gives back all memory that
   * was taken.
   *
   * ```js
   * const vit = await ViT.load()
   * const big = await ViT.load('https://huggingface.co/timm/vit_tiny_patch16_224.augreg_in21k_ft_in1k', { compute: 'int8', cache: true })
   * ```
   */
  static load(source?: ModelSource, options?: LoadOptions): Promise<ViT>

  /** URLs of the models that come with the package: one tells the ten classes of CIFAR-10 apart, one fills in hidden patches. */
  static readonly models: { readonly classify: string; readonly masked: string }

  /**
   * Bytes of the files, and parts of files, that the option `cache` keeps for this origin; of an address as `load` takes it, the
   * model's there.
   *
   * ```js
   * console.log(`${await ViT.cacheSize()} bytes are kept`)
   * ```
   */
  static cacheSize(url?: string | URL): Promise<number>
  /**
   * Gives them up.
   *
   * ```js
   * await ViT.clearCache('https://huggingface.co/google/vit-base-patch16-224')
   * ```
   */
  static clearCache(url?: string | URL): Promise<void>

  /** What runs, and how the last call went. Another object after each call. */
  readonly info: Info

  /**
   * What `classify(first)` brings, for the option `first` of `ViT.load`; without it undefined. What is wrong with the picture
   * rejects this, and not the load.
   */
  readonly first: Promise<Classification[]> | undefined

  /**
   * The likeliest classes, best first; of a batch, one such list for each image.
   *
   * ```js
   * const [best, second] = await vit.classify(file, { topK: 2 })
   * const lists = await vit.classify([file, canvas, imageBitmap])
   * ```
   */
  classify(image: ImageInput, options?: ClassifyOptions): Promise<Classification[]>
  classify(images: readonly ImageInput[], options?: ClassifyOptions): Promise<Classification[][]>
  classify(images: ImageInput | readonly ImageInput[], options?: ClassifyOptions): Promise<Classification[] | Classification[][]>

  /**
   * The head's outputs, [N]; scores are made of them.
   *
   * ```js
   * const logits = await vit.logits(file)
   * console.log(vit.info.labels?.[logits.indexOf(Math.max(...logits))])
   * ```
   */
  logits(image: ImageInput, options?: CallOptions): Promise<Float32Array>
  logits(images: readonly ImageInput[], options?: CallOptions): Promise<Float32Array[]>
  logits(images: ImageInput | readonly ImageInput[], options?: CallOptions): Promise<Float32Array | Float32Array[]>

  /**
   * A feature vector, [D].
   *
   * ```js
   * const [a, b] = await vit.features([photo, other], { pool: 'mean' })
   * const cosine = a.reduce((sum, x, i) => sum + x * b[i], 0) / Math.hypot(...a) / Math.hypot(...b)
   * ```
   */
  features(image: ImageInput, options?: FeatureOptions): Promise<Float32Array>
  features(images: readonly ImageInput[], options?: FeatureOptions): Promise<Float32Array[]>
  features(images: ImageInput | readonly ImageInput[], options?: FeatureOptions): Promise<Float32Array | Float32Array[]>

  /**
   * Where the network looks.
   *
   * ```js
   * const { grid: [rows, cols], values } = await vit.attention(photo)              // rollout over all layers
   * const { values: maps } = await vit.attention(photo, { layer: 11, head: 2, query: 'all' })
   * const ofPatch = (row, col) => maps.subarray((row * cols + col) * rows * cols).subarray(0, rows * cols)
   * ```
   */
  attention(image: ImageInput, options?: AttentionOptions): Promise<Attention>
  attention(images: readonly ImageInput[], options?: AttentionOptions): Promise<Attention[]>
  attention(images: ImageInput | readonly ImageInput[], options?: AttentionOptions): Promise<Attention | Attention[]>

  /**
   * Fills in what is hidden, with a model that was trained to: of `vit pretrain`, ViT-MAE or SimMIM. Others reject with
   * `'unsupported'`.
   *
   * ```js
   * const { grid: [rows, cols] } = await vit.predictMasked(photo, { ratio: 0 })
   * const mask = new Uint8Array(rows * cols)
   * mask[5 * cols + 7] = 1                                                  // hide the patch in row 5, column 7
   * const { image, colors, probabilities } = await vit.predictMasked(photo, { mask })
   * canvas.getContext('2d').putImageData(image, 0, 0)
   * await vit.predictMasked(photo, { ratio: 0.75, seed: 3, size: 128 })     // or by chance, on a finer grid
   * ```
   */
  predictMasked(image: ImageInput, options?: MaskedOptions): Promise<MaskedPrediction>
  predictMasked(images: readonly ImageInput[], options?: MaskedOptions): Promise<MaskedPrediction[]>
  predictMasked(images: ImageInput | readonly ImageInput[], options?: MaskedOptions): Promise<MaskedPrediction | MaskedPrediction[]>

  /**
   * What the network has learnt.
   *
   * ```js
   * const { components, shape } = await vit.inspect('filters')
   * const { grid, similarity } = await vit.inspect('positions')
   * const { distance } = await vit.inspect('distance', { images: [photo, other] })
   * console.log(distance.map((heads, layer) => `layer ${layer}: ${heads.map(Math.round)} px`))
   * ```
   *
   * `'filters'`: what the first layer looks for. With `compute: 'int8'` only of models that begin with convolutions: others keep no such weights.
   * `'positions'`: which places it takes to be alike. `'distance'`: how far each head looks.
   */
  inspect(what: 'filters', options?: FilterOptions): Promise<Filters>
  inspect(what: 'positions', options?: PositionOptions): Promise<Positions>
  inspect(what: 'distance', options: DistanceOptions): Promise<Distances>

  /**
   * A classifier of examples, which may be none yet: until there are some, `classify` and `save` reject with code `'argument'`.
   *
   * ```js
   * const probe = await vit.fitFewShot([{ image: apple, label: 'apple' }, { image: pear, label: 'pear' }])
   * const [best] = await probe.classify(photo)
   * ```
   */
  fitFewShot(examples: readonly Example[], options?: FewShotOptions): Promise<Probe>
  /**
   * One that was saved here or by `vit fewshot fit`; of another network it is refused. Its examples are numbered from 0 on.
   *
   * ```js
   * const probe = await vit.loadProbe(await (await fetch('fruit.probe')).arrayBuffer())
   * ```
   */
  loadProbe(file: Blob | ArrayBuffer | ArrayBufferView, options?: LoadProbeOptions): Promise<Probe>

  /**
   * Fine-tunes: a trainer that starts from this model's weights, which are read again from where `load` had them (bytes must still
   * be as they were; a stream cannot be read again). What trains is fetched when it is first asked for, which service workers
   * cannot do.
   *
   * ```js
   * const trainer = await vit.train({ classes: ['apple', 'pear'] })
   * const { loss } = await trainer.step([{ image: apple, label: 0 }, { image: pear, label: 1 }])
   * ```
   */
  train(options?: TrainOptions): Promise<Trainer>

  /**
   * Gives back the memory, the worker and the threads. Calls that are not answered reject with code `'disposed'`.
   *
   * ```js
   * vit.dispose()
   * ```
   */
  dispose(): void
  [Symbol.dispose](): void
}

/** What went wrong, for programs; the first line is the engine's own. */
export type VitErrorCode =
  | 'argument' | 'out-of-memory' | 'io' | 'truncated' | 'format' | 'unsupported' | 'shape' | 'missing-tensor' | 'config' | 'image' | 'limit' | 'cancelled'
  | 'http' | 'checksum' | 'disposed' | 'internal'

/** Every failure. Its message names the URL, file, tensor or option, what was expected and what was found. */
export class VitError extends Error {
  constructor(code: VitErrorCode, message: string, options?: { cause?: unknown })
  readonly name: 'VitError'
  readonly code: VitErrorCode
}
